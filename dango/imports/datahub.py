"""A recipe of DataHub: one source, whose configuration its connector takes as it is."""

from __future__ import annotations

from dango.imports.found import Found
from dango.imports.ledger import Part, Rules
from dango.imports.settings import Reading

RULES = Rules(
    ignored={"run_id": "a run is named by dango"},
    left={
        "sink": (
            "DataHub's server is not written to: the tables are in dango's destination",
            "nothing; what runs with DataHub may go on doing so",
        ),
        "transformers": ("records are not transformed", "`processors:` of the source do much of it"),
        "datahub_api": ("no server is asked", "nothing, unless the source asks for it (`ctx.graph`): it does not run"),
        "reporting": ("runs are not reported to DataHub", "dango history"),
        "flags": ("flags of DataHub's pipeline", "nothing"),
        "failure_log": ("failures are in the table _dango_errors", "dango history"),
        "source.extractor": ("what the source yields is loaded as it is", "nothing"),
        "source.extractor_config": ("what the source yields is loaded as it is", "nothing"),
        "source.config.stateful_ingestion.state_provider": ("its state is dlt's, and begins anew", "nothing"),
    },
)

_STATEFUL = "stateful_ingestion"
_ASKS_SERVER = ("datahub", "datahub-apply", "datahub-gc", "datahub-lineage-file")


def read(root: Part, found: Found) -> None:
    """The recipe's source. Raises `ConfigError` where it names none."""
    source = root.part("source")
    kind = source.needed("type")
    was = root.text("pipeline_name") or kind
    if kind in _ASKS_SERVER:
        found.refuse(source, was, f"`{kind}` asks DataHub's server, and so does not run here", "run it with DataHub")
        return
    name = found.name(was)
    config = source.part("config")
    stateful = config.part(_STATEFUL)
    settings = Reading(root.ledger, name).of(config.value, config.loc)
    config.take_all(besides=_STATEFUL)
    stateful.take_all(besides="state_provider")
    for each in (settings.plain, settings.secrets):
        if isinstance(inner := each.get(_STATEFUL), dict):
            inner.pop("state_provider", None)
    item = {
        "name": name,
        "type": "datahub",
        "environment": {"requirements": [_requirement(source, kind)]},
        "datahub": {"connector": kind, **({"config": settings.plain} if settings.plain else {})},
    }
    found.add(source, was, item, {"secrets": settings.secrets} if settings.secrets else {}, "source")


def _requirement(source: Part, kind: str) -> str:
    if "." in kind or ":" in kind:
        what = "which package brings this class is not said here"
        do = "add it to `environment: requirements:`, or put the file into custom_sources/"
        source.ledger.note(source.at("type"), what, do)
        return "acryl-datahub"
    what = "which version of acryl-datahub runs it is not said here: dango takes the newest"
    source.ledger.note(source.at("type"), what, f'pin yours: requirements: ["acryl-datahub[{kind}]==…"]')
    return f"acryl-datahub[{kind}]"
