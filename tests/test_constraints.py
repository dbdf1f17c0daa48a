"""constraints.txt pins what the environments of tox install, within the bounds that pyproject.toml gives."""

import configparser
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def pins():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(re.fullmatch(r"([\w.-]+)==(\S+)", line).groups() for line in lines)


def requirements():
    """What the package needs, and what the extras need that an environment of tox names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    extras = {extra.strip() for env in tox.values() for extra in env.get("extras", "").split(",")} - {""}
    assert {"test", "lint", "bench", "bench-engines"} <= extras
    texts = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


def test_every_requirement_is_pinned_within_its_bounds():
    pinned = pins()
    assert not [need.name for need in requirements() if need.name not in pinned]
    assert not [
        f"{need} is pinned to {pinned[need.name]}" for need in requirements() if pinned[need.name] not in need.specifier
    ]


def test_each_is_pinned_once_in_alphabetical_order():
    names = [line.partition("==")[0].casefold() for line in (ROOT / "constraints.txt").read_text().splitlines()[1:]]
    assert names == sorted(set(names))
