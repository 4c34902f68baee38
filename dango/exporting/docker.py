"""A project as a container image, in which everything is built: a sync writes nothing but its state and its data."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dango.errors import UsageError
from dango.exporting import needs
from dango.exporting.needs import REQUIREMENTS_FILE, Secret
from dango.project import SOURCES_FILE, Project
from dango.secrets import SECRETS_FILE

STATE, DATA, ENVIRONMENTS = "/var/lib/dango", "/project/data", "/opt/dango/environments"
USER = 10001

# Whatever is let in, these are not: the last line that matches counts.
_SHUT_OUT = ("**/.env*", "**/secrets.toml", "**/.git", "**/__pycache__", "**/*.duckdb*", "**/.venv", "**/*.egg-info")


@dataclass(frozen=True, slots=True)
class Image:
    """What makes the image, and how one runs it.

    Attributes:
        dockerfile: its text.
        ignore: the text of the list of what the build may see.
        brings: what of the project is in the image.
        secrets: what is not, and must be given to the container.
        doubtful: keys of `sources.yml` whose values are in the image and may be secret.
        name: the image's.
    """

    dockerfile: str
    ignore: str
    brings: tuple[str, ...]
    secrets: tuple[Secret, ...]
    doubtful: tuple[str, ...]
    name: str

    def commands(self, dockerfile: str) -> Mapping[str, str]:
        """By what they do: `build`; `run`, with secrets from the environment; `with_file`, from a mounted file."""
        build = ["docker", "build", *([] if dockerfile == "Dockerfile" else ["-f", dockerfile]), "-t", self.name, "."]
        run = ["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp"]
        run += ["-v", f"{self.name}-state:{STATE}", "-v", f"{self.name}-data:{DATA}"]
        file = ["-v", f"./{SECRETS_FILE}:/project/{SECRETS_FILE}:ro"]
        return {
            "build": shlex.join(build),
            "run": shlex.join([*run, *_given(secret.name for secret in self.secrets), self.name]),
            "with_file": shlex.join([*run, *file, *_given(self._beside_file()), self.name]),
        }

    def _beside_file(self) -> Iterator[str]:
        """What the file does not give: variables of its own, and those that its values stand for."""
        for secret in self.secrets:
            if name := secret.refers if secret.in_file else secret.name:
                yield name


def _given(names: Iterable[str]) -> list[str]:
    """From the environment of whoever types it: no value stands in a command."""
    return [word for name in dict.fromkeys(names) for word in ("-e", name)]


def image(project: Project) -> Image:
    """The image of a project; the same for the same project.

    Raises:
        ConfigError: where `sources.yml` is none.
        UsageError: where it holds a secret in plain text.
    """
    plain = dict(needs.in_plain_text(project))
    if certain := [keys for keys, is_certain in plain.items() if is_certain]:
        raise UsageError(
            f"{SOURCES_FILE}: `{certain[0]}` is a secret, and the image would hold it",
            "write there env:NAME, or put the value into .dlt/secrets.toml: neither is in the image",
        )
    brings = needs.files(project)
    dockerfile = "\n\n".join("\n".join(part) for part in _parts(project, brings) if part) + "\n"
    secrets = tuple(needs.secrets(project))
    return Image(dockerfile, _ignore(project, brings), tuple(brings), secrets, tuple(plain), needs.name(project))


def _parts(project: Project, brings: list[str]) -> Iterator[list[str]]:
    pythons = {source.environment.python for source in project.config.sources if source.environment} - {None}
    yield [
        "# Written by `dango export docker`; with `--force` once more when sources.yml or requirements.txt change.",
        f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim",
        "WORKDIR /project",
    ]
    if needs.git(project):
        yield [
            "# What is fetched from a repository needs it.",
            "# hadolint ignore=DL3008",
            "RUN apt-get update && apt-get install -y --no-install-recommends git \\",
            "    && rm -rf /var/lib/apt/lists/*",
        ]
    yield _packages(project, bool(pythons))
    if any(source.environment for source in project.config.sources):
        yield _environments(project, brings)
    yield [
        "COPY . .",
        "# A user of its own, who can write state and data and nothing else.",
        f"RUN useradd --uid {USER} --create-home dango \\",
        f"    && install -d -o dango -g dango -m 700 {STATE} {DATA} \\",
        "    && chmod -R a+rX /project",
    ]
    yield [
        f"ENV DANGO_STATE={STATE}/state PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
        f"USER {USER}",
        f'VOLUME ["{STATE}", "{DATA}"]',
        'ENTRYPOINT ["dango"]',
        'CMD ["sync"]',
    ]


def _packages(project: Project, other_python: bool) -> list[str]:
    """dango and what the project requires; uv where a source wants a Python that the image does not have."""
    asked = needs.packages(project)
    said = []
    if asked and asked[0].startswith("dango"):
        said += [
            "# What pip takes for dango itself: another version, or an address.",
            f'ARG DANGO="{asked.pop(0)}"',
        ]
    words = ['"$DANGO"' if said else "", *map(shlex.quote, asked), "uv" if other_python else ""]
    if (project.root / REQUIREMENTS_FILE).is_file():
        said += _copies(project, [REQUIREMENTS_FILE, *needs.local_requirements(project)])
        words += ["-r", REQUIREMENTS_FILE]
    # What is asked for has its versions in the argument and the file; hadolint looks for them in this line.
    said.append("# hadolint ignore=DL3013")
    return [*said, f"RUN pip install --no-cache-dir {' '.join(filter(None, words))}"]


def _environments(project: Project, brings: list[str]) -> list[str]:
    """Environments of sources' own. A change of the code alone leaves this layer as it is."""
    first = [SOURCES_FILE, *(path for path in ("registry",) if path in brings), *needs.local_requirements(project)]
    return [
        "# The environments of sources' own: a sync finds them built, and needs no network.",
        f"ENV DANGO_ENVIRONMENTS={ENVIRONMENTS} UV_PYTHON_INSTALL_DIR=/opt/dango/python",
        *_copies(project, first),
        "RUN UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 DANGO_STATE=/tmp/dango dango env build \\",
        "    && rm -rf /tmp/dango && chmod -R a+rX /opt/dango",
    ]


def _copies(project: Project, paths: list[str]) -> list[str]:
    """As lists, in which a name may hold a space."""
    places = {path: f"{path}/" if (project.root / path).is_dir() else path for path in paths}
    return [f"COPY {json.dumps([path, place], ensure_ascii=False)}" for path, place in places.items()]


def _ignore(project: Project, brings: list[str]) -> str:
    """An allow-list: nothing is let in that nobody named."""
    folders = [path for path in brings if (project.root / path).is_dir()]
    lines = [
        "# Written by `dango export docker`: what the build may see, and nothing else.",
        "*",
        *(f"!{path}" for path in folders),
        "# Not even there:",
        *_SHUT_OUT,
        "# Named one by one:",
        *(f"!{path}" for path in brings if path not in folders),
    ]
    return "\n".join(lines) + "\n"
