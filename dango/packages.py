"""Which packages are installed, and how one installs those that are not."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

# Where a distribution is not named like what it lets one import.
_DISTRIBUTIONS = {
    "yaml": "pyyaml", "bs4": "beautifulsoup4", "PIL": "pillow", "dateutil": "python-dateutil", "git": "gitpython",
    "sklearn": "scikit-learn", "cv2": "opencv-python", "jwt": "pyjwt", "MySQLdb": "mysqlclient", "psycopg2":
    "psycopg2-binary", "OpenSSL": "pyopenssl", "dotenv": "python-dotenv", "slack_sdk": "slack-sdk", "simple_salesforce":
    "simple-salesforce", "googleapiclient": "google-api-python-client", "facebook_business": "facebook-business",
}  # fmt: skip

# Of the same process: what has been found once is not looked for again, as many sources need the same.
_there: set[str] = set()


def missing(requirements: Collection[str]) -> list[str]:
    """Those of the requirements (as pip takes them) that are not met here, extras included."""
    missed = [text for text in requirements if text not in _there and not _met(Requirement(text))]
    _there.update(text for text in requirements if text not in missed)
    return missed


def install(requirements: Iterable[str]) -> str:
    """The command that installs them into this Python."""
    return f"{sys.executable} -m pip install {' '.join(map(shlex.quote, requirements))}"


def bringing(module: str) -> str:
    """The distribution that has a module which is not installed, as far as one can tell by its name."""
    top = module.partition(".")[0]
    return _DISTRIBUTIONS.get(top, top.replace("_", "-"))


def _met(requirement: Requirement, above: tuple[str, ...] = ()) -> bool:
    """Whether it is installed, with its extras; `above` are those whose extras led here, which may be a circle."""
    if str(requirement) in above:
        return True
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        found = distribution(requirement.name)
    except PackageNotFoundError:
        return False
    if not requirement.specifier.contains(found.version, prereleases=True):
        return False
    above = (*above, str(requirement))
    return all(_met(needed, above) for extra in requirement.extras for needed in _of_extra(found.requires or (), extra))


def _of_extra(requires: Iterable[str], extra: str) -> Iterator[Requirement]:
    """What a distribution needs for one of its extras, beyond what it always needs."""
    for text in requires:
        needed = Requirement(text)
        if needed.marker and needed.marker.evaluate({"extra": extra}) and not needed.marker.evaluate({"extra": ""}):
            needed.marker = None
            yield needed
