"""Where dlt looks for values of configuration: its providers, and those that stand before them here.

dlt asks its providers in order (environment, `secrets.toml`, `config.toml`), each first with the sections of the
calling source's *module*. Two sources of one module would so share their secrets. `isolate` puts one provider before
them that looks under the source's own name, and hides from the others what is another's. `follow` lets values of
`secrets.toml` stand for what they refer to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ValueNotSecretException
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.providers.environ import SECRET_STORAGE_PATH, EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

SOURCES = "sources"
CREDENTIALS = "credentials"
_SECRETS = "secrets.toml"
"""How dlt calls the provider of that file."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value of dlt's configuration, and where it stands."""

    value: Any
    provider: str
    key: str
    """The provider's own name for it: an environment variable, or `sources.x.key`."""
    files: tuple[str, ...]
    """The files that the provider reads; none for the environment."""


class OwnSection(ConfigProvider):
    """Answers what any source of this process asks with what stands under the name of *its* source.

    It needs to know nothing of the thread that asks, nor of the pipeline that is active: a process builds one source.
    """

    def __init__(
        self,
        name: str,
        providers: Sequence[ConfigProvider],
        answers: Mapping[str, Any] = MappingProxyType({}),
        extends: Sequence[str] = (),
    ) -> None:
        self._source = name
        self._names = (name, *extends)
        self._providers = (Answers(name, answers), *providers) if answers else tuple(providers)

    @property
    def name(self) -> str:
        """How dlt names this provider in its traces."""
        return f"source {self._source}"

    @property
    def supports_secrets(self) -> bool:
        """Some of what it looks through does; `find` checks each."""
        return True

    @property
    def supports_sections(self) -> bool:
        """It is all about sections."""
        return True

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """The value under this source's name, for whatever module and function asks."""
        found = None
        if sections[:1] == (SOURCES,) and sections[1:]:
            # dlt drops sections one by one; what is left of an embedded configuration is its own name.
            found = self.find(key, hint, sections[1:] if sections[1:] == (CREDENTIALS,) else sections[2:])
        own = ".".join((SOURCES, self._source, key))
        return (found.value, found.key) if found else (None, own)

    def find(self, key: str, hint: Any, tail: Sequence[str] = ()) -> Found | None:
        """Where the value of `key` stands for this source.

        Args:
            key: the parameter (or the field of its credentials).
            hint: its type as dlt has it; a secret may not stand in `config.toml`.
            tail: the sections after the module: the function or resource, then embedded configurations.

        Raises:
            ValueNotSecretException: when a secret stands where secrets may not.
        """
        places = ((source, provider) for source in self._names for provider in self._providers)
        for source, provider in places:
            for sections in self._sections(source, tuple(tail)):
                value, name = provider.get_value(key, hint, None, *sections)
                if value is None:
                    continue
                if is_secret_hint(hint) and not provider.supports_secrets:
                    raise ValueNotSecretException(provider.name, name)
                return Found(value, provider.name, name, _files(provider))
        return None

    def _sections(self, source: str, tail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        own = (SOURCES, source)
        yield from (own + tail[start:] for start in range(len(tail)))
        # A field of credentials is never looked for among the parameters: `password` is no parameter's name by chance.
        if CREDENTIALS not in tail:
            yield own
            yield (*own, CREDENTIALS)


class Answers(ConfigProvider):
    """What was answered to a wizard and is not stored yet, as if it stood in `[sources.<name>]`."""

    name = "answers"
    supports_secrets = True
    supports_sections = True
    present_locations: tuple[str, ...] = ()

    def __init__(self, source: str, values: Mapping[str, Any]) -> None:
        self._source = source
        self._values = values

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """The answer that would stand there."""
        node: Any = {SOURCES: {self._source: self._values}}
        for part in (*sections, key):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node, ".".join((*sections, key))


class _Around(ConfigProvider):
    """A provider of dlt's own, with other answers."""

    def __init__(self, provider: ConfigProvider) -> None:
        self._provider = provider

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        """The file in which the provider found it. (Not in dlt 1.26.)"""
        return str(self._provider.get_value_location(key, pipeline_name, *sections))

    def set_value(self, key: str, value: Any, pipeline_name: str | None, *sections: str) -> None:
        """Sets it in the provider."""
        self._provider.set_value(key, value, pipeline_name, *sections)

    name = property(lambda self: self._provider.name)
    supports_secrets = property(lambda self: self._provider.supports_secrets)
    supports_sections = property(lambda self: self._provider.supports_sections)
    is_empty = property(lambda self: self._provider.is_empty)
    is_writable = property(lambda self: self._provider.is_writable)
    locations = property(lambda self: self._provider.locations)
    present_locations = property(lambda self: self._provider.present_locations)


class _Environment(_Around):
    """dlt's provider of the environment, asked for what is there.

    For each name it first takes the type apart to see whether that is a secret's, which might be a file of Docker's or
    of Kubernetes': a tenth of a sync that finds nothing new.
    """

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """The variable's value."""
        name = EnvironProvider.get_key_name(key, pipeline_name or "", *sections)
        return self._provider.get_value(key, hint, pipeline_name, *sections) if name in os.environ else (None, name)


def _quick(provider: ConfigProvider) -> ConfigProvider:
    files = Path(SECRET_STORAGE_PATH).parent.is_dir()
    return _Environment(provider) if isinstance(provider, EnvironProvider) and not files else provider


class Following(_Around):
    """A provider whose values may refer to others."""

    def __init__(self, provider: ConfigProvider, follow: Callable[[Any, str], Any]) -> None:
        super().__init__(provider)
        self._follow = follow

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """What the value refers to. Of all sections at once nothing is followed: most are none of this process's."""
        value, name = self._provider.get_value(key, hint, pipeline_name, *sections)
        if value is None:  # as nearly always: dlt asks a thousand times in a sync
            return None, name
        whole = isinstance(value, Mapping) and not sections
        return (value if whole else self._follow(value, name)), name


def follow(references: Callable[[Any, str], Any]) -> None:
    """From now on values of `secrets.toml` are what they refer to, in this process.

    Args:
        references: from a value and its path of keys to what it stands for.
    """
    providers = Container()[PluggableRunContext].providers.providers
    for position, provider in enumerate(providers):
        if isinstance(provider, Following):
            providers[position] = Following(provider._provider, references)
        elif provider.name == _SECRETS:
            providers[position] = Following(provider, references)


def entrust(secrets: Mapping[str, Any]) -> None:
    """From now on these values stand in place of `secrets.toml`, in this process."""
    providers = Container()[PluggableRunContext].providers.providers
    given = CustomLoaderDocProvider(_SECRETS, lambda: deepcopy(dict(secrets)), locations=[])
    providers[:] = [given if provider.name == _SECRETS else provider for provider in providers]


class WithoutOthers(_Around):
    """A provider of dlt's own in which the sections of the project's other sources do not exist."""

    def __init__(self, provider: ConfigProvider, others: Sequence[str]) -> None:
        super().__init__(provider)
        self._others = frozenset(others)

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any, str]:
        """What the provider has, unless it stands under another source's name."""
        value, name = self._provider.get_value(key, hint, pipeline_name, *sections)
        if value is None:
            return None, name
        if sections[:1] == (SOURCES,) and sections[1:2] and sections[1] in self._others:
            return None, name
        if isinstance(value, Mapping):
            # A whole section was asked for: `dlt.secrets["sources.x"]`, `dlt.secrets["sources"]`.
            if sections == (SOURCES,) and key in self._others:
                return None, name
            if not sections and key == SOURCES:
                value = {section: inner for section, inner in value.items() if section not in self._others}
        return value, name


def _files(provider: ConfigProvider) -> tuple[str, ...]:
    return tuple(map(str, provider.present_locations))


def isolate(
    source: str,
    others: Sequence[str],
    answers: Mapping[str, Any] = MappingProxyType({}),
    extends: Sequence[str] = (),
) -> OwnSection:
    """From now on this process's sources find the secrets of `source`, and those of no other but what it extends.

    Args:
        source: its name.
        others: the names of the project's other sources.
        answers: what stands in its section before all else, without being stored anywhere.
        extends: the sources in whose sections is looked where its own has nothing, the nearest first.
    """
    providers = Container()[PluggableRunContext].providers
    originals = [
        _quick(provider._provider if isinstance(provider, WithoutOthers) else provider)
        for provider in providers.providers
        if not isinstance(provider, OwnSection)
    ]
    own = OwnSection(source, originals, answers, extends)
    providers.providers[:] = [own, *(WithoutOthers(provider, others) for provider in originals)]
    return own


def others_find(key: str, hint: Any, sections: Sequence[str]) -> Found | None:
    """Where dlt's own layout has a value, looking as dlt does from the longest path of sections to none."""
    for provider in Container()[PluggableRunContext].providers.providers:
        if isinstance(provider, OwnSection) or (is_secret_hint(hint) and not provider.supports_secrets):
            continue
        for length in range(len(sections), -1, -1):
            value, name = provider.get_value(key, hint, None, *sections[:length])
            if value is not None:
                return Found(value, provider.name, name, _files(provider))
    return None
