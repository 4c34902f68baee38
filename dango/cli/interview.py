"""How the wizard talks: with a person, question by question, or with options alone. What it asks is in `wizard`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import typer

from dango import adding, answers, packages, question, wizard
from dango.adding import Change, Draft
from dango.cli import ask, show
from dango.cli.app import fail
from dango.config.models import Source
from dango.errors import DangoError, UsageError, near
from dango.probe import About, Tested
from dango.project import NATIVE, Project
from dango.question import NAME, Choice, Question
from dango.registry.entry import Entry
from dango.secret_store import secrets_of
from dango.secrets import SECRETS_FILE
from dango.specification import is_connectors, is_option
from dango.wizard import RESOURCES, Answers, Subject

CHANGE, SECRETS, STOP = "change the answers", "enter the secrets again", "stop"
_say = partial(typer.echo, err=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command's options say already."""

    values: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    name: str | None = None
    destination: str | None = None
    test: bool | None = None
    sync: bool = False
    replaces: str = ""
    """The name of the source that is changed; empty where one is added."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored, what its test found, and whether to load it at once."""

    change: Change
    sync: bool = False
    found: tuple[Any, ...] = ()


def attended(project: Project, subject: Subject, asked: Asked) -> Stored:
    """Asks a person, and stores what was decided.

    Raises:
        KeyboardInterrupt: on Ctrl-C; nothing is changed then, and the answers that are no secret are kept.
        DangoError: where it cannot be stored; the answers are kept too.
    """
    draft = Draft(project, f"edit-{asked.replaces}" if asked.replaces else _kind(subject.entry))
    plain, subject = subject.entry, _told_for_options(project, subject, asked)
    given = _of_options(project, subject, asked)
    _introduced(subject.entry)
    subject = replace(subject, earlier={**subject.earlier, **draft.load()})
    talk = _Talk(project, subject, asked, draft, given, plain)
    try:
        change, sync = talk.decided()
    except KeyboardInterrupt:
        typer.echo("nothing was changed; what you answered is offered again, but for secrets", err=True)
        raise
    adding.save(change)
    draft.forget()
    return Stored(change, sync)


def unattended(project: Project, subject: Subject, asked: Asked) -> Stored:
    """Takes every answer from the options, and stores them.

    Raises:
        UsageError: naming all that is missing or wrong.
        DangoError: when the test that was asked for fails; nothing is stored then.
    """
    subject = _told_for_options(project, subject, asked)
    given = _of_options(project, subject, asked)
    given.setdefault(NAME, question.free_name(subject.earlier.get(NAME) or subject.entry.id, subject.names))
    for name in (text for text in asked.secrets if "=" not in text):
        given |= answers.of_stdin(subject, name, sys.stdin.read())
    subject = _knowing(project, subject, given[NAME])
    _require(subject, given)
    if subject.entry.select.live and asked.test is not False:
        bare = _change(project, subject, given, asked, bare=True)
        subject = replace(subject, inspection=adding.inspect(bare))
        _require_tables(subject, given)
    change = _change(project, subject, given, asked)
    found = tuple(adding.ask(change.after, change.source, change.made.secrets)) if asked.test else ()
    if failed := [value for value in found if isinstance(value, Tested) and value.error]:
        faults = "\n".join(f"{value.resource}: {value.error}" for value in failed)
        raise DangoError(f"the test failed, and nothing was stored:\n{faults}", "--no-test stores it all the same")
    adding.save(change)
    return Stored(change, asked.sync, found)


@dataclass
class _Talk:
    """A conversation: what was answered so far, and what was answered before going back."""

    project: Project
    subject: Subject
    asked: Asked
    draft: Draft
    answers: Answers
    plain: Entry
    """As it is before a connector has told of itself."""
    before: Answers = field(default_factory=dict)
    looked: Mapping[str, Any] | None = None
    told: tuple[Any, ...] | None = None
    """Which connector has been asked what it may be told."""
    listed: Mapping[str, Any] | None = None
    """With which settings it has been asked for its streams."""

    def decided(self) -> tuple[Change, bool]:
        """Asks until the person is content."""
        while True:
            self._ask_all()
            change = self._change()
            if not self._test(change):
                continue
            show.diff(change.diff)
            if change.secrets:
                typer.echo(f"and in .dlt/secrets.toml: {', '.join(change.secrets)}")
            if ask.sure("Write this?", default=True):
                return change, self.asked.sync or ask.sure("Load it now?", default=False)
            self._go_on("What then?")

    def _ask_all(self) -> None:
        while True:
            if self._specify():
                continue
            question = wizard.next_question(self.subject, self.answers)
            if (question is None or question.key == RESOURCES) and self._list():
                continue
            # Tables that an option names are looked up too: how to load each is still to be asked.
            live = question.live if question else self.subject.entry.select.live and not self.subject.inspection
            if live and self._look():
                continue
            if question is None:
                return
            said = ask.answer(question)
            if said is ask.BACK:
                self._back()
            else:
                self._note(question, said)

    def _note(self, question: Question, said: Any) -> None:
        if said is None and question.spec.secret:
            said = self.before.get(question.key)
        self.answers[question.key] = said
        if question.key == NAME:
            self.subject = _knowing(self.project, self.subject, said)
        self.draft.save(wizard.without_secrets(self.subject, {**self.before, **self.answers}))

    def _back(self) -> None:
        self._remember()
        # The name of a source that is there is not asked for.
        self.answers = wizard.back(self.answers, {NAME} if self.asked.replaces else ())

    def _remember(self) -> None:
        self.before |= self.answers
        self.subject = wizard.reminded(self.subject, self.before)

    def _change(self, *, bare: bool = False) -> Change:
        return _change(self.project, self.subject, self.answers, self.asked, bare=bare)

    def _specify(self) -> bool:
        """Asks a connector what it may be told, as soon as it is known which it is; whether it was asked."""
        known = wizard.connector(self.subject, self.answers)
        if known is None or known == self.told:
            return False
        self.told = known
        typer.echo("asking the connector what it may be told …", err=True)
        self.subject = replace(self.subject, entry=self.plain)
        try:
            self.subject = _told(self.project, self._change(bare=True), self.subject, self.answers[NAME])
        except DangoError as error:
            fail(error)
            self._go_on("It cannot be asked what it may be told.", "type its settings as JSON")
        return True

    def _list(self) -> bool:
        """Asks a connector for its streams, when all else is answered; whether it was asked."""
        known = wizard.values(self.subject, self.answers)
        by_option = RESOURCES in self.answers and self.listed is None
        if by_option or not is_connectors(self.plain) or self.subject.streams == () or known == self.listed:
            return False
        self.listed = known
        _say("asking the connector for its streams …")
        try:
            about = adding.specification(self._change(bare=True), _say)
        except DangoError as error:
            about = About(problems=(error.message,))
        self.subject = replace(self.subject, streams=about.streams)
        if about.problems and not about.streams:
            _say("\n".join(about.problems))
        return True

    def _look(self) -> bool:
        """Looks up what the source has, if that is not known for these answers; whether it did."""
        known = wizard.values(self.subject, self.answers)
        if self.looked == known:
            return False
        self.looked = known
        typer.echo("looking …", err=True)
        try:
            self.subject = replace(self.subject, inspection=adding.inspect(self._change(bare=True)))
        except DangoError as error:
            fail(error)
            self.subject = replace(self.subject, inspection=None)
            self._go_on("It cannot be reached.", "type the names by hand")
            return True
        if self.subject.inspection:
            show.probed(self.subject.inspection)
        return True

    def _test(self, change: Change) -> bool:
        """Whether to go on: the source answered, or the person does not mind."""
        if self.asked.test is False or (self.asked.test is None and not ask.sure("Test it now?", default=True)):
            return True
        try:
            well = not any(isinstance(value, Tested) and value.error for value in _shown(change))
        except DangoError as error:
            fail(error)
            well = False
        return well or self._go_on("The test failed.", "keep it all the same")

    def _go_on(self, message: str, all_the_same: str = "") -> bool:
        """What to do where something is not as it should be; whether to go on all the same."""
        secrets = [SECRETS] if self.subject.entry.secrets else []
        ways = [CHANGE, *secrets, *([all_the_same] if all_the_same else []), STOP]
        way = ask.one_of(message, [Choice(each, each) for each in ways])
        if way == STOP:
            raise KeyboardInterrupt
        if way == all_the_same:
            return True
        self.looked = self.told = self.listed = None
        if way == CHANGE:
            self._back()
        else:
            self._remember()
            secret = {question.field_key(spec) for spec in self.subject.entry.secrets}
            self.answers = {key: value for key, value in self.answers.items() if key not in secret}
        return False


def _kind(entry: Entry) -> str:
    return entry.title if entry.id == NATIVE else entry.id


def _shown(change: Change) -> Iterator[Any]:
    for value in adding.ask(change.after, change.source, change.made.secrets):
        show.probed(value)
        yield value


def _knowing(project: Project, subject: Subject, name: str) -> Subject:
    """The same, with the fields that have a value under the source's name already."""
    return replace(subject, stored=subject.stored | adding.found_elsewhere(project, subject.entry, name))


def _told_for_options(project: Project, subject: Subject, asked: Asked) -> Subject:
    """The same; where options say single settings of a connector, with the fields of which it tells itself."""
    single = [text for text in (*asked.values, *asked.secrets) if is_option(text)]
    if not single or not is_connectors(subject.entry):
        return subject
    others = replace(
        asked,
        values=tuple(text for text in asked.values if text not in single),
        secrets=tuple(text for text in asked.secrets if text not in single and "=" in text),
    )
    given = {NAME: question.free_name(subject.entry.id, subject.names), **_of_options(project, subject, others)}
    _require(subject, given)
    return _told(project, _change(project, subject, given, others, bare=True), subject, given[NAME])


def _told(project: Project, change: Change, subject: Subject, name: str) -> Subject:
    """The same, with the fields of which the connector tells itself."""
    about = adding.specification(change, _say)
    if not about.options:
        why = "\n".join(about.problems) or "it does not say what it may be told"
        typer.echo(f"{why}\nits settings are typed as JSON", err=True)
    section = secrets_of(project.root / SECRETS_FILE, ("sources", name))
    # One that has nothing to say of streams, with its settings or without, is not asked for them.
    streams = None if about.streams or about.problems else ()
    return _knowing(project, replace(answers.told(subject, about, section), streams=streams), name)


def _change(project: Project, subject: Subject, given: Answers, asked: Asked, *, bare: bool = False) -> Change:
    """What storing the answers would do; `bare` without the resources, to ask what there is."""
    made = answers.made(subject, {key: value for key, value in given.items() if not (bare and key == RESOURCES)})
    if asked.destination:
        made = replace(made, item=answers.placed_after(made.item, "type", "destination", asked.destination))
    return adding.change(project, made, asked.replaces)


def _of_options(project: Project, subject: Subject, asked: Asked) -> Answers:
    """The answers that the options hold, but for a secret that comes on stdin."""
    if asked.destination:
        project.destination(Source(name="new", type="new"), asked.destination)
    given = answers.of_options(subject, asked.name, asked.values, asked.secrets, asked.resources, asked.requirements)
    return {NAME: asked.replaces, **given} if asked.replaces else given


def _require(subject: Subject, given: Answers) -> None:
    """Every answer that is needed is there; else all that are not are named."""
    entry, missing = subject.entry, answers.unanswered(subject, given)
    if missing:
        ways = [f"--secret {spec.name}=env:NAME" if spec.secret else f"--set {spec.name}=…" for spec in missing]
        lines = [f"  `{spec.name}`: {spec.label}{f' ({spec.help})' if spec.help else ''}" for spec in missing]
        raise UsageError(f"`{entry.id}` needs answers to:\n" + "\n".join(lines), " ".join(ways))
    known = {*subject.stored, *(name for name, value in wizard.values(subject, given).items() if value is not None)}
    if entry.groups and not any(known.issuperset(group) for group in entry.groups):
        sets = "; or ".join(", ".join(f"`{name}`" for name in group) for group in entry.groups)
        raise UsageError(f"`{entry.id}` needs answers to {sets}")


def _require_tables(subject: Subject, given: Answers) -> None:
    """Every resource that was asked for is there; without any, a new source gets all that can be read."""
    tables = subject.inspection.tables if subject.inspection else ()
    names = [table.name for table in tables]
    if unknown := [name for name in given.get(RESOURCES, ()) if name not in names]:
        faults = [f"there is no table `{name}`{near(name, names)}" for name in unknown]
        raise UsageError("\n".join(faults), f"tables: {', '.join(names)}")
    if not subject.present:
        given.setdefault(RESOURCES, [table.name for table in tables if table.readable])


def _introduced(entry: Entry) -> None:
    """What a person should know before the first question."""
    typer.echo(f"\n{entry.title}{f': {entry.summary}' if entry.summary else ''}")
    for name, link in entry.links.items():
        typer.echo(f"  {name}: {link}")
    if entry.setup:
        typer.echo(f"\n{entry.setup.rstrip()}")
    if missing := packages.missing(entry.requires):
        typer.echo(f"\nIt needs packages that are not installed:\n  {packages.install(missing)}")
    typer.echo("\nEsc or Shift-Tab goes back, Ctrl-C leaves everything as it is.\n")
