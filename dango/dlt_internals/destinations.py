"""A destination's configuration, looked up once: dlt looks all of it up again for each client that it makes.

That is some twenty times in a sync, each time through all providers: a third of what a small sync costs.
"""

from __future__ import annotations

from typing import Any, TypeVar

Target = TypeVar("Target", bound=Any)


def looked_up_once(destination: Target) -> Target:
    """Lets one of dlt's destinations remember what its configuration came to; what it is given, each time, counts.

    Args:
        destination: of a run, in which neither environment nor files of settings change. It is changed.
    """
    look_up = destination.configuration
    known: dict[tuple[Any, ...], Any] = {}

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        given = tuple((name, str(value)) for name, value in (initial_config or {}).items())
        asked = (type(initial_config), given, accept_partial)
        if asked not in known:
            known[asked] = look_up(initial_config, accept_partial)
        found = known[asked].copy()
        if hasattr(found.credentials, "on_resolved") and found.credentials.is_resolved():
            # Credentials keep the connections that are made with them; copies have none, nor the means to make one.
            found.credentials.on_resolved()
        return found

    destination.configuration = configuration
    return destination
