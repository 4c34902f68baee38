"""Questions to a person. The only importer of questionary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import questionary
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, Window
from questionary.prompts.common import InquirerControl

from dango.question import Choice, Question
from dango.wizard import NONE

DESTINATIONS = ("duckdb", "postgres", "snowflake", "bigquery", "redshift", "clickhouse", "filesystem")
BACK = object()
"""The answer of a person who wants to change the one before."""
_MANY = 9
"""From so many choices on, typing narrows them down."""


def destination() -> str:
    """Where the data goes. Raises `KeyboardInterrupt` on Ctrl-C."""
    here = questionary.Choice("duckdb: a file in this project, no setting needed", "duckdb")
    choices = [here, *(questionary.Choice(name, name) for name in DESTINATIONS[1:])]
    return str(_answer(questionary.select("Where shall the data go?", choices=choices)))


def example() -> bool:
    """Whether to include the runnable example. Raises `KeyboardInterrupt` on Ctrl-C."""
    return bool(_answer(questionary.confirm("Include an example that runs as it is?", default=True)))


def sure(question: str, default: bool = False) -> bool:
    """A yes or no. Raises `KeyboardInterrupt` on Ctrl-C."""
    return bool(_answer(questionary.confirm(question, default=default)))


def typed(question: str) -> str:
    """What a person types. Raises `KeyboardInterrupt` on Ctrl-C."""
    return str(_answer(questionary.text(question)))


def one_of(question: str, choices: Sequence[Choice]) -> Any:
    """One of several; typing narrows them down. Raises `KeyboardInterrupt` on Ctrl-C."""
    return _answer(_select(question, choices, None))


def answer(question: Question) -> Any:
    """A person's answer to a wizard's question, None for nothing, or `BACK`. Raises `KeyboardInterrupt` on Ctrl-C."""
    if question.spec.help:
        questionary.print(question.spec.help, style="fg:ansibrightblack")
    asked = _asked(question)
    extra = [_pasting()] if question.spec.secret else []
    asked.application.key_bindings = merge_key_bindings([_with_back(), asked.application.key_bindings, *extra])
    said = _answer(asked)
    if said is BACK or isinstance(said, bool):
        return said
    if question.choices:
        return None if said in (NONE, []) else said
    return question.read(said)


def _asked(question: Question) -> Any:
    spec, label, default = question.spec, question.spec.label, question.default
    if question.many:
        return _checkbox(label, question.choices, default or [], needed=spec.required)
    if question.choices:
        return _select(label, question.choices, default)
    # Where yes and no are not all, neither is what Enter gives.
    if spec.kind == "bool" and (isinstance(default, bool) or (default is None and spec.required)):
        return questionary.confirm(label, default=bool(default))
    if spec.secret:
        kept = " (Enter keeps the present one)" if question.kept else ""
        return questionary.password(f"{label}{kept}", validate=_validated(question))
    example = f" (such as {spec.example})" if spec.example is not None and default is None else ""
    example = " (true, false, or nothing)" if spec.kind == "bool" else example
    return questionary.text(f"{label}{example}", default=question.typed, validate=_validated(question))


def _select(label: str, choices: Sequence[Choice], default: Any) -> Any:
    shown = [questionary.Choice(choice.label, choice.value) for choice in choices]
    chosen = next((choice for choice in shown if choice.value == default), None)
    searched = len(shown) >= _MANY
    return _searchable(
        questionary.select(
            label, shown, default=chosen, use_search_filter=searched, use_jk_keys=not searched, use_shortcuts=False
        )
    )


def _checkbox(label: str, choices: Sequence[Choice], checked: Sequence[Any], *, needed: bool) -> Any:
    shown = [questionary.Choice(choice.label, choice.value, checked=choice.value in checked) for choice in choices]
    searched = len(shown) >= _MANY
    return _searchable(
        questionary.checkbox(
            label,
            shown,
            instruction=f"(space chooses, {'ctrl-a' if searched else 'a'} all{', type to search' if searched else ''})",
            validate=lambda chosen: bool(chosen) or not needed or "choose at least one (space)",
            use_search_filter=searched,
            use_jk_keys=not searched,
        )
    )


def _searchable(question: Any) -> Any:
    """Where nothing is found, it says so, and Enter takes nothing: questionary itself would show, and take, all."""
    control: Any = next(
        window.content
        for window in question.application.layout.find_all_windows()
        if isinstance(window.content, InquirerControl)
    )

    def nothing_found() -> bool:
        sought = (control.search_filter or "").lower()
        return bool(sought) and not any(sought in choice.title.lower() for choice in control.choices)

    unfound = Condition(nothing_found) & ~is_done
    bindings = KeyBindings()

    @bindings.add("enter", eager=True, filter=unfound)
    def _stay(event: KeyPressEvent) -> None:
        event.app.output.bell()

    told = Window(FormattedTextControl("nothing matches: Backspace takes letters away"), height=1)
    question.application.layout.container.children.append(ConditionalContainer(told, unfound))
    question.application.key_bindings = merge_key_bindings([question.application.key_bindings, bindings])
    return question


def _validated(question: Question) -> Callable[[str], bool | str]:
    def validate(text: str) -> bool | str:
        try:
            question.read(text)
        except ValueError as error:
            return f"{question.spec.label} {error}"
        return True

    return validate


def _with_back() -> KeyBindings:
    bindings = KeyBindings()

    # Escape alone is heard only when no other key follows it at once, as it does when an arrow is pressed.
    @bindings.add("escape", eager=True)
    @bindings.add("s-tab", eager=True)
    def _back(event: KeyPressEvent) -> None:
        event.app.exit(result=BACK)

    return bindings


def _pasting() -> KeyBindings:
    """A terminal that does not mark what is pasted sends each line's end as Enter, all at once; the lines that follow
    would be the answers to other questions, and be seen."""
    bindings = KeyBindings()

    @bindings.add("enter", filter=Condition(lambda: bool(get_app().key_processor.input_queue)))
    def _next_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def _answer(question: Any) -> Any:
    return question.unsafe_ask()
