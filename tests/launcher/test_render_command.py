"""`perdure render` from the command line."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from launcher.__main__ import perdure, run
from tests.launcher.manifests.plans import DIGITS, EVERYTHING


def rendered(*arguments: str) -> list[dict]:
    ended = CliRunner().invoke(perdure, ["render", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return list(yaml.safe_load_all(ended.stdout))


def image(manifests: list[dict]) -> str:
    return manifests[-1]["spec"]["template"]["spec"]["containers"][0]["image"]


def test_a_run_is_printed_for_a_namespace_and_a_version() -> None:
    manifests = rendered(str(DIGITS), "--run", "a-run", "-n", "team", "--kube-version", "v1.34.2")
    assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"team"}
    assert manifests[-1]["metadata"]["name"] == "a-run-worker-0"
    assert "restartPolicyRules" not in manifests[-1]["spec"]["template"]["spec"]["containers"][0]


def test_without_a_name_each_run_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DIGITS.parents[1])
    names = {manifest["metadata"]["name"] for _ in range(2) for manifest in rendered("digits")[1:2]}
    assert len(names) == 2
    assert all(name.startswith("digits-") for name in names)


def test_the_command_line_names_the_image_before_the_file_and_the_file_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert image(rendered(str(DIGITS))).startswith("localhost/perdure-trainer:")
    monkeypatch.setenv("PERDURE_IMAGE", "from-environment:1")
    assert image(rendered(str(DIGITS))) == "from-environment:1"
    assert image(rendered(str(EVERYTHING))) == "registry.example/team/trainer:1.2"
    assert image(rendered(str(EVERYTHING), "--image", "from-line:1")) == "from-line:1"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "there is no experiment 'nothing'"),
        ([str(DIGITS), "--run", "1-run"], "begins with a letter"),
        ([str(DIGITS), "--run", ""], "at most 48"),
        ([str(DIGITS), "--kube-version", "1.33"], "need Kubernetes 1.34 or newer"),
        ([str(DIGITS), "--kube-version", "new"], "not a version of Kubernetes"),
        ([str(DIGITS), "--image", "a b"], "spec.pod.image: not allowed"),
        ([str(DIGITS), "--set", "storage.url=./runs"], "spec.storage.url: a folder would be lost"),
        ([str(DIGITS), "--set", "pod.template={spec: {hostname: x}}"], "spec.pod.template.spec.hostname"),
    ],
)
def test_mistakes_are_told_and_nothing_is_printed(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render", *arguments]) == 64
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_storage_on_the_command_line_is_instead_of_a_claim(tmp_path: Path) -> None:
    # `perdure run` of an experiment that is meant for a cluster needs nothing but a folder.
    ended = CliRunner().invoke(
        perdure,
        ["validate", str(EVERYTHING), "--set", f"storage={{url: {tmp_path}}}"],
        catch_exceptions=False,
    )
    assert ended.exit_code == 0
