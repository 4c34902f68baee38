"""Which of Meltano's extractors goes to which loaders, as its schedules and jobs say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from dango.imports.ledger import Part


def targets(root: Part, extractors: Collection[str], loaders: Mapping[str, str]) -> dict[str, list[str]]:
    """By an extractor's name the destinations that it goes to: the only one there is, where nothing says.

    Args:
        root: the whole file.
        extractors: the names of those that there are.
        loaders: by a loader's name that of its destination, empty where dango has none of the kind.
    """
    said: dict[str, list[str]] = {}
    for extractor, loader in (*_of_jobs(root, extractors, loaders), *_of_schedules(root, extractors, loaders)):
        said.setdefault(extractor, []).append(loaders.get(loader, ""))
    usual = [*loaders.values()] if len(loaders) == 1 else []
    return {name: said.get(name, usual) for name in extractors}


def _of_jobs(root: Part, extractors: Collection[str], loaders: Collection[str]) -> Iterator[tuple[str, str]]:
    for job in root.parts("jobs"):
        job.text("name")
        for position, task in enumerate(job.items("tasks")):
            loc = (*job.at("tasks"), position)
            job.ledger.settle(loc)
            words = [word for each in (task if isinstance(task, list) else [task]) for word in str(each).split()]
            yield from _pairs(words, extractors, loaders)
            if any(word not in extractors and word not in loaders for word in words):
                do = "run what it names after `dango sync`; what maps records is `processors:` of the source"
                job.ledger.note(loc, "a job does more than to load", do)


def _pairs(words: list[str], extractors: Collection[str], loaders: Collection[str]) -> Iterator[tuple[str, str]]:
    extractor = ""
    for word in words:
        extractor = word if word in extractors else extractor
        if word in loaders and extractor:
            yield extractor, word


def _of_schedules(root: Part, extractors: Collection[str], loaders: Collection[str]) -> Iterator[tuple[str, str]]:
    for schedule in root.parts("schedules"):
        extractor, loader = schedule.text("extractor"), schedule.text("loader")
        for key, name, known in (("extractor", extractor, extractors), ("loader", loader, loaders)):
            if name and name not in known:
                schedule.note(key, "no plugin of this name stands here", "dango import the file that has it")
        if extractor and loader:
            yield extractor, loader
        schedule.text("job")
        do = "a line of cron, or of what else runs things: dango sync NAME"
        schedule.note("interval", "dango runs when it is called", do)
