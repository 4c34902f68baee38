"""docs/PERFORMANCE.md and its plots, and the speeds in docs/CONNECTORS.md, from results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

from bench.jobs import JOBS, Job
from bench.loads import TENTH
from bench.measure import Target
from bench.plots import Line, Plot
from bench.results import Entry, Results, Verdict, verdicts
from bench.worlds import WORLDS

MIB = 1024**2
PAGE = Path(__file__).with_name("page.md")
CONNECTORS = Path(__file__).parents[1] / "docs" / "CONNECTORS.md"
BEGIN, END = "<!-- the speeds: written by make bench-report -->", "<!-- end of the speeds -->"
_MEASURES = {"wall": "", "cpu": " CPU", "rss": " memory", "size": " size"}
_OF_THE_PAGE = [job for job in JOBS if job.name not in {world.job for world in WORLDS}]
OURS = ("reference", "dango", TENTH, "one_job")


def write(results: Results, folder: Path) -> list[Path]:
    """Writes PERFORMANCE.md, plots/*.svg, and CONNECTORS.md with its speeds into a folder; returns what was written."""
    plots = dict(_plots(results))
    before, _, rest = CONNECTORS.read_text().partition(BEGIN)
    files = {folder / "CONNECTORS.md": f"{before}{BEGIN}\n{speeds(results)}\n{END}{rest.partition(END)[2]}"}
    files |= {folder / "plots" / f"{name}.svg": plot.svg() for name, plot in plots.items()}
    files[folder / "PERFORMANCE.md"] = page(results, list(plots))
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return list(files)


def bound(target: Target) -> str:
    """A target as people read it."""
    if target.kind == "value":
        return f"≤ {target.bound / MIB:.0f} MiB"
    if target.kind == "difference":
        return f"≤ +{target.bound:g} s"
    sign = "≥" if target.kind == "speedup" else "≤"
    return f"{sign} {target.bound:g}×{_MEASURES[target.measure]}"


def verdict_lines(job: Job, entry: Entry) -> Iterator[str]:
    """What became of each target."""
    if entry.reason:
        yield f"not measured: {entry.reason}"
    for verdict in verdicts(job, entry):
        yield f"{'met' if verdict.met else 'MISSED'}: {_reached(verdict)} ({bound(verdict.target)})"


def _reached(verdict: Verdict) -> str:
    kind = verdict.target.kind
    if kind == "value":
        return f"{verdict.reached / MIB:.0f} MiB"
    unit, sign = (" s", "+") if kind == "difference" else ("×", "")
    spread = f" ({verdict.low:{sign}.2f}–{verdict.high:{sign}.2f})" if verdict.low != verdict.high else ""
    return f"{verdict.reached:{sign}.2f}{unit}{spread}"


def page(results: Results, plots: Sequence[str]) -> str:
    """The whole document."""
    measured = [(job, results.jobs[job.name]) for job in _OF_THE_PAGE if job.name in results.jobs]
    return Template(PAGE.read_text()).substitute(
        machine=_machine(results.machine),
        dates=_dates([entry for _, entry in measured]),
        loads=_loads([entry for _, entry in measured]),
        table=_table(results, measured),
        missed=_missed(measured),
        memory=_memory(measured),
        peers=_peers(measured),
        growth="\n".join(f"![{name}](plots/{name}.svg)" for name in plots) or "Not measured.",
    )


def speeds(results: Results) -> str:
    """Connectors of other frameworks, each beside its own way."""
    lines = ["| | connector | how many | its own way | its s | dango s | times | its CPU s | dango CPU s | times |"]
    lines.append("|---|---|--:|---|--:|--:|--:|--:|--:|--:|")
    measured = []
    for world in WORLDS:
        entry = results.jobs.get(world.job)
        if entry is None or not entry.samples:
            why = f": {_cell(entry.reason)}" if entry else " yet"
            lines.append(f"| {world.name} | {world.connector} | | {world.label} | not measured{why} | | | | | |")
            continue
        measured.append(entry)
        mark = "†" if _busy(results, entry) else ""
        cells = [world.name, world.connector, f"{entry.rows:,} {world.unit}{mark}", entry.labels["reference"]]
        for measure in ("wall", "cpu"):
            theirs, ours = (entry.median(who, measure) for who in ("reference", "dango"))
            cells += [_seconds(theirs), _seconds(ours), f"{ours / theirs:.2f}×"]
        lines.append(f"| {' | '.join(cells)} |")
    if measured:
        lines += ["", f"Measured {_dates(measured)} on: {_machine(results.machine)}."]
    return "\n".join(lines)


def _table(results: Results, measured: Sequence[tuple[Job, Entry]]) -> str:
    lines = ["| job | rows | reference | its s | dango s | CPU s | reached | target | |"]
    lines.append("|---|--:|---|--:|--:|--:|--:|--:|---|")
    for job, entry in measured:
        rows = f"{entry.rows:,}{'†' if _busy(results, entry) else ''}" if entry.rows else ""
        if entry.reason or not entry.samples:
            lines.append(f"| {job.title} | {rows} | not measured: {_cell(entry.reason)} | | | | | | |")
            continue
        for number, verdict in enumerate(verdicts(job, entry)):
            against = verdict.target.against
            if number == 0:
                seconds = [_seconds(entry.median(name, "wall")) for name in (against, "dango")]
                cpu = " / ".join(_seconds(entry.median(name, "cpu")) for name in (against, "dango"))
                start = f"| {job.title} | {rows} | {entry.labels[against]} | {seconds[0]} | {seconds[1]} | {cpu} |"
            else:
                what = "largest process" if verdict.target.kind == "value" else entry.labels[against]
                start = f"| | | {what} | | | |"
            end = f" {_reached(verdict)} | {bound(verdict.target)} | {'✓' if verdict.met else '✗'} |"
            lines.append(start + end)
    return "\n".join(lines)


def _missed(measured: Sequence[tuple[Job, Entry]]) -> str:
    lines = [
        f"- {job.title}: {_reached(verdict)}, the target is {bound(verdict.target)}."
        for job, entry in measured
        for verdict in verdicts(job, entry)
        if not verdict.met
    ]
    unmeasured = [job.title for job in _OF_THE_PAGE if job.name not in {other.name for other, _ in measured}]
    lines += [f"- Not measured: {'; '.join(unmeasured)}."] if unmeasured else []
    return "\n".join(lines) or "Nothing."


def _memory(measured: Sequence[tuple[Job, Entry]]) -> str:
    lines = ["| job | rows | reference | dango | with a tenth of the rows |", "|---|--:|--:|--:|--:|"]
    for job, entry in measured:
        if {"dango", TENTH} <= entry.samples.keys():
            cells = " | ".join(
                f"{entry.median(name, 'rss') / MIB:.0f}, {entry.median(name, 'tree') / MIB:.0f}"
                for name in ("reference", "dango", TENTH)
            )
            lines.append(f"| {job.title} | {entry.rows:,} | {cells} |")
    return "\n".join(lines)


def _peers(measured: Sequence[tuple[Job, Entry]]) -> str:
    lines = ["| job | rows | who | s | CPU s | MiB | times dango's |", "|---|--:|---|--:|--:|--:|--:|"]
    none = len(lines)
    for job, entry in measured:
        dango = entry.median("dango", "wall") if "dango" in entry.samples else 0
        others = [name for name in entry.samples if name not in OURS]
        for name in ("dango", *others) if others else ():
            wall, cpu, rss = (entry.median(name, measure) for measure in ("wall", "cpu", "rss"))
            lines.append(
                f"| {job.title} | {entry.rows:,} | {_cell(entry.labels[name])} | {_seconds(wall)} | {_seconds(cpu)}"
                f" | {rss / MIB:.0f} | {wall / dango:.1f}× |"
            )
    if len(lines) == none:
        lines = ["No other tool was measured."]
    reasons = {(name, reason) for _, entry in measured for name, reason in entry.skipped.items()}
    left_out = [f"- {name}: {_cell(reason)}" for name, reason in sorted(reasons)]
    return "\n".join([*lines, *(["", "Left out:", "", *left_out] if left_out else [])])


def _plots(results: Results) -> Iterator[tuple[str, Plot]]:
    titles = {job.name: job.title for job in JOBS}
    for measure, what, unit, scale in (("wall", "time", "s", 1.0), ("rss", "memory", "MiB", MIB)):
        for name, entries in results.growth.items():
            measured = [entry for entry in entries if {"reference", "dango"} <= entry.samples.keys()]
            if len(measured) > 1:
                lines = [
                    Line(measured[-1].labels[who], [(one.rows, one.median(who, measure) / scale) for one in measured])
                    for who in ("reference", "dango")
                ]
                yield f"{name}_{what}", Plot(f"{titles.get(name, name)}: {what}, {unit}", "rows", lines)


def _machine(parts: Mapping[str, str]) -> str:
    return ", ".join(
        {"processor": value, "cores": f"{value} cores", "memory": value, "system": value}.get(name, f"{name} {value}")
        for name, value in parts.items()
    )


def _busy(results: Results, entry: Entry) -> bool:
    """Whether the machine had other work, too: one command and its server keep no more than the cores busy."""
    loads = [sample["load"] for taken in entry.samples.values() for sample in taken]
    return max(loads, default=0) > 1.5 * float(results.machine.get("cores", 1))


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:200]


def _dates(entries: Sequence[Entry]) -> str:
    dates = sorted({entry.date for entry in entries})
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else "never"


def _loads(entries: Sequence[Entry]) -> str:
    loads = [sample["load"] for entry in entries for taken in entry.samples.values() for sample in taken]
    return f"{min(loads):.1f} to {max(loads):.1f}" if loads else "unknown"
