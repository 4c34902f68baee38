"""An entry as a page for people, in Markdown: what `dango docs` shows of a source, and the site has of each."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from dango.config.text.yaml_text import flow
from dango.registry.entry import Entry, Function, RestApi, Verified
from dango.registry.example import blocks, needs_environment
from dango.registry.field import FieldSpec
from dango.registry.hosts import hosts
from dango.registry.loading import Loading, loadings

LINKS = {"docs": "documentation", "credentials": "where credentials are made", "limits": "limits"}
KINDS = {
    "string": "text", "int": "whole number", "float": "number", "bool": "true, false", "datetime": "time", "url": "URL",
    "json": "mapping or list", "secret_file": "secret, a file's text", "secret_json": "secret, JSON",
}  # fmt: skip
NO_ACCOUNT = "No run with a real account is known of: begin with `dango source test`."
LONGEST = 60
"""Characters of a value that are shown."""
_ITEM = re.compile(r"\d+\. ")
_CODE = re.compile(r"(`[^`]*`)")


def page(entry: Entry) -> str:
    """The page of an entry."""
    told = (_before, _use, _tables, _settings, _limits, _tested)
    parts = [
        f"# {entry.title}",
        entry.summary and f"{_plain(entry.summary)}.",
        *(part for tell in told for part in tell(entry)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _before(entry: Entry) -> Iterator[str]:
    if entry.setup or entry.requires or entry.links:
        yield "## Before you begin"
    yield prose(entry.setup)
    if entry.requires:
        yield f"It needs packages: `pip install {' '.join(map(shlex.quote, entry.requires))}`."
    if isinstance(entry.build, RestApi) and (reached := hosts(entry)):
        yield f"Its secrets go to {_listed(map(_code, reached))}, and nowhere else."
    # One page may be all of these.
    links = {link: name for name, link in sorted(entry.links.items(), key=_link_order, reverse=True)}
    if links:
        yield f"See also: {', '.join(f'[{LINKS.get(name, name)}]({link})' for link, name in reversed(links.items()))}."


def prose(text: str) -> str:
    """Plain text as Markdown: steps with numbers are a list, and what is indented elsewhere stands as it is."""
    paragraphs: list[str] = []
    for kind, lines in groupby(_lines(text), key=lambda line: line[0]):
        texts = [line for _, line in lines]
        if kind == "code":
            paragraphs.append("```\n" + "\n".join(texts) + "\n```")
        else:
            paragraphs.append(_plain("\n".join(texts) if kind == "item" else " ".join(texts)))
    return "\n\n".join(paragraphs)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line with what it is; a step is one line, however many it was written in."""
    step = ""
    for line in text.rstrip().splitlines():
        if step and line.startswith("   "):
            step += f" {line.strip()}"
            continue
        if step:
            yield "item", step
        step = line if _ITEM.match(line) else ""
        if not step and line.strip():
            yield ("code", line[2:]) if line.startswith("  ") else ("text", line)
    if step:
        yield "item", step


# --- what is asked and loaded -----------------------------------------------------------------------------------------


def _settings(entry: Entry) -> Iterator[str]:
    if not entry.fields:
        return
    yield "## Settings"
    yield table(("setting", "takes", "what it is"), ((_code(s.name), _takes(s), _about(s)) for s in entry.fields))
    if len(entry.groups) > 1:
        yield f"One of these is needed: {_listed((_listed(map(_code, group)) for group in entry.groups), 'or')}."


def _takes(spec: FieldSpec) -> str:
    options = ", ".join(_code(each) for each in spec.options)
    said = [options or KINDS.get(spec.kind, spec.kind)]
    if spec.options and spec.kind == "list":
        said = [f"list of {options}"]
    if spec.required:
        said.append("required")
    if spec.default not in (None, ""):
        said.append(f"default {_code(_written(spec.default))}")
    return "; ".join(said)


def _about(spec: FieldSpec) -> str:
    """Its title, when it is asked, and what there is to know."""
    only = _listed(f"`{name}: {_written(value)}`" for name, value in spec.when.items())
    said = [f"{_plain(spec.label)}{only and f', with {only}'}", _plain(spec.help)]
    if spec.example is not None:
        said.append(f"For example {_code(_written(spec.example))}")
    return " ".join(f"{each.rstrip('.')}." for each in said if each)


def _tables(entry: Entry) -> Iterator[str]:
    known = loadings(entry)
    build = entry.build
    if known:
        yield "## Tables"
        yield _chosen(known)
        yield table(*_columns(known))
    elif entry.select.live:
        yield "## Tables"
        yield "Those that are there: `resources:` names some and says how they are loaded; without it all are."
        if entry.select.hints and entry.select.hints.write_disposition == "replace":
            yield (
                "A table of which nothing is said is read in full, and takes the place of the old one. With a cursor, a"
                " column that grows when a row changes, only what is new is read."
            )
    if isinstance(build, Function) and build.about:
        yield f"`dango source describe {entry.id}` tells which streams it has, and what it may be told."


def _chosen(known: Sequence[Loading]) -> str:
    if all(each.is_default for each in known):
        return "All of them are loaded, unless `resources:` names some." if len(known) > 1 else ""
    return "Those in bold are loaded unless `resources:` names others."


def _columns(known: Sequence[Loading]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows; a column that says nothing of any table is left out."""
    marks = not all(each.is_default for each in known)
    columns = {
        "table": [f"**`{each.name}`**" if marks and each.is_default else _code(each.name) for each in known],
        "what it holds": [_held(each) for each in known],
        "key": [_listed(map(_code, each.key)) for each in known],
        "only what is new, by": [_cursor(each) for each in known],
        "written by": [_written_by(each) for each in known],
    }
    said = {name: cells for name, cells in columns.items() if any(cells)}
    return tuple(said), list(zip(*said.values(), strict=True))


def _written_by(each: Loading) -> str:
    return f"{each.write}; each {_code(each.replaces)} is replaced whole" if each.replaces else each.write


def _held(each: Loading) -> str:
    about = _plain(each.about)
    return f"{about}{' – ' if about else ''}for each of {_code(each.parent)}" if each.parent else about


def _cursor(each: Loading) -> str:
    """The cursor, and how little the vendor is asked for."""
    if not each.cursor:
        return ""
    if each.by_source:
        return _code(each.cursor)
    how = f"asked with {_code(each.asked_with)}" if each.asked_with else ""
    how = how or ("newest first, until what is known" if each.newest_first else "picked out of all")
    again = f"; the last {_span(each.again)} again" if each.again else ""
    return f"{_code(each.cursor)}, {how}{again}"


def _span(lag: dt.timedelta) -> str:
    seconds = int(lag.total_seconds())
    size, unit = next(
        (size, unit) for size, unit in ((86400, "day"), (3600, "hour"), (1, "second")) if not seconds % size
    )
    return unit if seconds == size else f"{seconds // size} {unit}s"


# --- how it is used, and how well it is known -------------------------------------------------------------------------


def _use(entry: Entry) -> Iterator[str]:
    sources, secrets = blocks(entry)
    yield "## How to use it"
    yield f"`dango source add {entry.id}` asks for what it needs. Written by hand it is:"
    yield f"```yaml\n# .dango/sources.yml\n{sources}```"
    if secrets:
        yield f"```toml\n# .dlt/secrets.toml\n{secrets}```"
    commands = [f"dango source test {entry.id}      # asks for a row", f"dango sync {entry.id}"]
    if isinstance(entry.build, Verified):
        commands.insert(0, f"dango source fetch {entry.build.source}")
    yield "```sh\n" + "\n".join(commands) + "\n```"


def _limits(entry: Entry) -> Iterator[str]:
    limit = entry.rate_limit
    pace, size = limit.requests_per_second, limit.page_size
    if not (limit.note or pace):
        return
    yield "## Limits"
    said = [f"{limit.note.rstrip('.')}." if limit.note else ""]
    if pace:
        often = (
            f"{pace:g} times a second" if pace > 1 else f"every {1 / pace:g} seconds" if pace < 1 else "once a second"
        )
        said.append(f"dango asks {often} at most{f', for {size} rows a page' if size else ''}.")
    yield " ".join(filter(None, said))


def _tested(entry: Entry) -> Iterator[str]:
    yield "## How far it is tested"
    yield _checked(entry)
    why: dict[str, list[str]] = {}
    for waiver in entry.verify.waive:
        why.setdefault(waiver.why.rstrip("."), []).append(waiver.resource)
    if why:
        yield "Not held against the description, or unlike it on purpose:"
        yield "\n".join(f"- {_listed(map(_code, dict.fromkeys(names)))}: {reason}." for reason, names in why.items())


def _checked(entry: Entry) -> str:
    """What the entry's maturity says of it."""
    service, build = entry.verify.service, entry.build
    then = "then what is new" if any(each.cursor for each in loadings(entry)) else "then again"
    match entry.maturity:
        case "spec_checked":
            return (
                "What it asks for, and what it reads of the answers, is held against the vendor's description of the"
                f" API. It is loaded from a server that answers as described: in full, {then}. {NO_ACCOUNT}"
            )
        case "mock_run" if isinstance(build, RestApi):
            return (
                "It is loaded from a server that answers as we read the vendor's documentation: in full,"
                f" {then}. {NO_ACCOUNT}"
            )
        case "mock_run" if entry.category == "generic":
            return (
                "It is loaded from servers on this machine that answer as such ones do, in full and then what is new."
            )
        case "mock_run":
            return f"It is loaded from a stand-in that answers as we read the documentation. {NO_ACCOUNT}"
        case "live_run" if needs_environment(entry):
            return (
                "Connectors that are written for the framework run in it, unmodified, in an environment of their own."
            )
        case "live_run":
            return (
                f"It is loaded from the real thing{f' (`{service}`)' if service else ''}, in full and then what is new."
            )
        case "vendored" if isinstance(build, Verified):
            return (
                f"The code is that of dlt's verified source `{build.source}` at commit `{build.commit[:7]}`. Loads of"
                f" it are not tested here. {NO_ACCOUNT}"
            )
    return f"It is built with stand-ins for what it asks, and no more. {NO_ACCOUNT}"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def _plain(text: str) -> str:
    """Text in which only what stands between backticks means anything to Markdown."""
    return "".join(part if part.startswith("`") else re.sub(r"[*<]", r"\\\g<0>", part) for part in _CODE.split(text))


def _code(value: object) -> str:
    return f"`{value}`"


def _written(value: object) -> str:
    """As it stands in YAML, or how that begins."""
    text = value if isinstance(value, str) else flow(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _listed(words: Iterable[str], joined: str = "and") -> str:
    *first, last = [*words] or [""]
    return f"{', '.join(first)} {joined} {last}" if first else last


def _link_order(link: tuple[str, str]) -> int:
    return [*LINKS].index(link[0]) if link[0] in LINKS else len(LINKS)
