"""What is rendered is what is kept in the golden files, and Kubernetes' published schemas accept it."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from ruamel.yaml import YAML

from launcher.manifests import KubeVersion, render
from tests.launcher.manifests.golden import CASES, golden_file, golden_text
from tests.launcher.manifests.plans import DIGITS, plan

cases = pytest.mark.parametrize(
    ("folder", "server"), CASES, ids=lambda value: getattr(value, "name", str(value))
)


@cases
def test_what_is_rendered_is_what_is_kept(folder: Path, server: KubeVersion) -> None:
    assert golden_file(folder, server).read_text(encoding="utf-8") == golden_text(folder, server)


@cases
def test_the_text_reads_back_as_what_was_rendered(folder: Path, server: KubeVersion) -> None:
    text = golden_file(folder, server).read_text(encoding="utf-8")
    expected = render(plan(folder), server)
    assert list(YAML(typ="safe", pure=True).load_all(text)) == expected
    assert list(yaml.safe_load_all(text)) == expected


@cases
def test_the_schemas_of_the_server_accept_it_strictly(folder: Path, server: KubeVersion) -> None:
    manifests = list(yaml.safe_load_all(golden_file(folder, server).read_text(encoding="utf-8")))
    assert len(manifests) >= 7
    for manifest in manifests:
        assert kubernetes_validate.validate(manifest, str(server), strict=True) == str(server)


def test_the_schemas_would_find_a_misspelt_key() -> None:
    job = render(plan(DIGITS), KubeVersion(1, 37))[-1]
    job["spec"]["template"]["spec"]["hostName"] = "a"
    with pytest.raises(kubernetes_validate.ValidationError, match="hostName"):
        kubernetes_validate.validate(job, "1.37", strict=True)
