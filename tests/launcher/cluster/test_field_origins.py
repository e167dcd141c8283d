"""From what the API server refuses to the line of the experiment file."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.experiment_source import read_source
from launcher.field_origins import origin, origin_lines
from launcher.kube import Cause, InvalidError

TEXT = """\
spec:
  pod:
    resources: {cpu: 4, gpu: 1}
    node_selector: {a: b}
    template:
      spec:
        hostAliases:
        - ip: nowhere
        containers:
        - name: trainer
          lifecycle: {stopSignal: NONE}
  storage:
    create: {size: 1}
"""
CONTAINER = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("field", "key"),
    [
        (f"{CONTAINER}.resources.requests[cpu]", "spec.pod.resources.cpu"),
        (f"{CONTAINER}.resources.limits[nvidia.com/gpu]", "spec.pod.resources.gpu"),
        (f"{CONTAINER}.env[3].name", "spec.pod.env"),
        ("spec.template.spec.nodeSelector", "spec.pod.node_selector"),
        ("spec.template.spec.tolerations[0].operator", "spec.pod.tolerations"),
        ("spec.template.spec.hostAliases[0].ip", "spec.pod.template.spec.hostAliases.0.ip"),
        (f"{CONTAINER}.lifecycle.stopSignal", "spec.pod.template.spec.containers.0.lifecycle.stopSignal"),
        ('spec.template.spec.containers[name="trainer"].image', "spec.pod.image"),
        ("spec.resources.requests.storage", "spec.storage.create.size"),
        ("spec.completions", ""),
        ("", ""),
    ],
)
def test_origins(field: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(TEXT)
    found = origin(field, read_source(tmp_path, []).value)
    assert ".".join(map(str, found or ())) == key


def test_each_cause_is_told_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(TEXT)
    causes = [Cause(f"{CONTAINER}.resources.requests[cpu]", "must be less"), Cause("spec.suspend", "no")]
    error = InvalidError("check", "wrong", causes=causes * 2)
    assert origin_lines(error, read_source(tmp_path, [])) == [
        f"{file}:3: spec.pod.resources.cpu: must be less"
    ]


def test_what_the_command_line_sets_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(TEXT)
    error = InvalidError("check", "wrong", causes=[Cause(f"{CONTAINER}.image", "invalid")])
    (line,) = origin_lines(error, read_source(tmp_path, ["pod.image=A"]))
    assert line == "from --set: spec.pod.image: invalid"
