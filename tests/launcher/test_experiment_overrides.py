"""What `--set` does to an experiment."""

# ruff: noqa: E501  (each error stands in one line, word for word)

from pathlib import Path

import pytest

from launcher.experiment import ExperimentErrors, load_experiment
from trainer.contract.training import Experiment

BASE = """\
apiVersion: perdure.dev/v1alpha1
kind: Experiment
metadata: {name: digits}
spec:
  training:
    model: a.package:build
    data: a.package:load
    epochs: 80
    global_batch_size: 60
  callbacks:
    early_stopping: false
    best_models: [{monitor: val_accuracy, keep: 3}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "experiment.yaml").write_text(BASE)
    return tmp_path / "experiment.yaml"


def errors_of(file: Path, *overrides: str) -> list[str]:
    with pytest.raises(ExperimentErrors) as caught:
        load_experiment(file, overrides)
    return [str(error) for error in caught.value.errors]


def value_at(experiment: Experiment, key: str) -> object:
    value: object = experiment.document()
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]  # nested dicts
    return value


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.epochs=5", "spec.training.epochs", 5),
        ("spec.training.epochs=5", "spec.training.epochs", 5),
        (" training.epochs = 5 ", "spec.training.epochs", 5),
        ("metadata.name=other", "metadata.name", "other"),
        ("workers=3", "spec.workers", 3),
        ("training.parameters.rate=1e-3", "spec.training.parameters.rate", 1e-3),
        ("training.parameters.note=a=b", "spec.training.parameters.note", "a=b"),
        ("training.parameters={a: [1, two]}", "spec.training.parameters", {"a": [1, "two"]}),
        ('training.parameters.text="5"', "spec.training.parameters.text", "5"),
        ("callbacks.csv_log=", "spec.callbacks.csv_log", False),
        ("callbacks.best_models.0.keep=4", "spec.callbacks.best_models.0.keep", 4),
        ("callbacks.best_models.1.monitor=loss", "spec.callbacks.best_models.1.monitor", "loss"),
        ("callbacks.early_stopping=true", "spec.callbacks.early_stopping.patience", 10),
        ("callbacks.early_stopping.patience=3", "spec.callbacks.early_stopping.patience", 3),
        ("callbacks.tensorboard=false", "spec.callbacks.tensorboard", None),
        ("storage.url=gs://bucket/runs", "spec.storage.url", "gs://bucket/runs"),
    ],
)
def test_a_value_is_set(file: Path, override: str, key: str, value: object) -> None:
    changed = load_experiment(file, [override])
    assert value_at(changed, key) == value
    assert changed != load_experiment(file)


def test_the_later_overrules_the_earlier(file: Path) -> None:
    assert load_experiment(file, ["training.epochs=x", "training.epochs=5"]).spec.training.epochs == 5


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("training.epoch=5", "spec.training.epoch: unknown key, did you mean 'epochs'?"),
        ("epochs=5", "spec.epochs: unknown key, did you mean spec.training.epochs?"),
        ("metadata.names=x", "metadata.names: unknown key, did you mean 'name'?"),
        (
            "training.epochs=five",
            'spec.training.epochs: wrong type, received "five", expected an integer from 1 to 2147483647',
        ),
        (
            "training.epochs.most=5",
            "spec.training.epochs: wrong type, received a mapping, expected an integer from 1 to 2147483647",
        ),
        ("training.epochs=[1", "spec.training.epochs: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "training.epochs=!!int 5",
            "spec.training.epochs: tags are not allowed, received !!int, expected a value without a tag",
        ),
        (
            "training.parameters={a: 1, a: 2}",
            "spec.training.parameters.a: key given twice, first on line 1",
        ),
        ("training.epochs", 'not an assignment, received "training.epochs", expected KEY=VALUE, such as training.epochs=5'),
        ("=5", 'not an assignment, received "=5", expected KEY=VALUE, such as training.epochs=5'),
        ("training..epochs=5", 'not an assignment, received "training..epochs=5", expected KEY=VALUE, such as training.epochs=5'),
        (
            "callbacks.best_models.2.keep=5",
            'spec.callbacks.best_models: no such entry of the list, received "2", expected an index from 0 to 1',
        ),
        (
            "callbacks.best_models.first.keep=5",
            'spec.callbacks.best_models: no such entry of the list, received "first", expected an index from 0 to 1',
        ),
        (
            "workers=7",
            "spec.training.global_batch_size: not divisible by the 7 workers",
        ),
    ],
)  # fmt: skip
def test_an_error_says_that_it_comes_from_the_command_line(file: Path, override: str, error: str) -> None:
    if override == "workers=7":
        # What the command line makes wrong in the file is told at the file's line.
        assert errors_of(file, override)[0].startswith(f"{file}:9: {error}")
    else:
        assert errors_of(file, override) == [f"from --set: {error}"]


def test_errors_of_the_file_come_first(file: Path) -> None:
    file.write_text(BASE.replace("epochs: 80", "epochs: 0"))
    errors = errors_of(file, "training.seed=-1", "training.sed=1")
    assert [error.split(": ")[:2] for error in errors] == [
        [f"{file}:8", "spec.training.epochs"],
        ["from --set", "spec.training.seed"],
        ["from --set", "spec.training.sed"],
    ]
