"""The images install what the tests ran with."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pinned(path: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    pattern = re.compile(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ]+)", re.MULTILINE)
    for name, version in pattern.findall((ROOT / path).read_text()):
        found.setdefault(name, set()).add(version)
    return found


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", each.strip())[0].lower() for each in requirements}


@pytest.mark.parametrize("image", ["cpu", "gpu", "launcher", "build"])
def test_the_images_have_the_versions_that_the_tests_have(image: str) -> None:
    tested, installed = pinned("requirements/dev.txt"), pinned(f"docker/requirements-{image}.txt")
    assert installed
    for name, versions in installed.items():
        if name in tested:
            assert versions <= tested[name], name


@pytest.mark.parametrize("image", ["cpu", "gpu", "launcher", "build"])
def test_every_package_has_a_hash_and_no_index_is_named(image: str) -> None:
    text = (ROOT / f"docker/requirements-{image}.txt").read_text()
    assert "://" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


@pytest.mark.parametrize("image", ["cpu", "gpu", "launcher"])
def test_the_images_install_what_the_project_says_it_needs(image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / f"docker/requirements-{image}.in").read_text().splitlines()
    wanted = names([line for line in lines if line and not line.startswith("#")])
    base = names(project["dependencies"])
    if image == "launcher":
        assert wanted == base
    else:
        assert wanted == names(project["optional-dependencies"][image]) | {
            "fsspec",
            "prometheus-client",
            "pydantic",
        }
