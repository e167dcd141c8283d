"""Broken experiment files, each with every error that it must give, word for word."""

# ruff: noqa: E501  (each error stands in one line, word for word)

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.experiment import ExperimentErrors, load_experiment
from trainer.contract.stopping import EXAMPLE

BASE = """\
apiVersion: perdure.dev/v1alpha1
kind: Experiment
metadata:
  name: digits
spec:
  workers: 2
  training:
    model: model.py:build
    data: data.py:load
    parameters: {units: 64}
    epochs: 80
    global_batch_size: 60
    seed: 42
    deterministic: true
    threads: auto
  callbacks:
    early_stopping: {monitor: val_loss, patience: 8}
    reduce_lr_on_plateau: {factor: 0.2, min_lr: 1e-6}
    best_models: [{monitor: val_accuracy, keep: 3}, {monitor: val_loss}]
    csv_log: true
    tensorboard: {update_freq: epoch}
    custom: [callbacks.py:make]
  storage: {url: ./runs}
"""
MODULES = {
    "model.py": "def build(parameters): ...\nif True:\n    from os import path as other\n",
    "data.py": "class Rows: ...\nload: object = Rows\n",
    "callbacks.py": "make = make_more = print\ndef _outer():\n    hidden = 1\n",
    "torn.py": "x = 1\ndef build(:\n",
    "null.py": "x = 1\0\n",
    "starred.py": "from os.path import *\n",
    "layers/__init__.py": "",
    "layers/dense.py": "def build(parameters): ...\n",
}

COUNT = "an integer from 1 to 2147483647"
COUNT_OR_ZERO = "an integer from 0 to 2147483647"
REFERENCE = "file.py:name beside this file, or package.module:name of an installed package"
METRIC = "the name of a metric, of letters, digits, '_', '-' and '.', such as val_loss"
NAME = "at most 40 lower-case letters, digits and '-', beginning and ending with a letter or digit"
URL = "a folder, or a URL that begins with file://, memory://, gs://, s3:// or az:// or null"
MODE = 'one of "auto", "min", "max"'


@dataclass(frozen=True)
class Broken:
    """One row: what is replaced in BASE (or a whole text), and the errors, without the file's name."""

    name: str
    change: tuple[str, str] | str | bytes
    errors: tuple[str, ...]

    def content(self) -> bytes:
        if isinstance(self.change, bytes):
            return self.change
        if isinstance(self.change, str):
            return self.change.encode()
        old, new = self.change
        assert BASE.count(old) == 1, f"{old!r} is not once in the base"
        return BASE.replace(old, new).encode()


def value(line: int, key: str, wrong: str, received: str, expected: str) -> str:
    return f":{line}: {key}: {wrong}, received {received}, expected {expected}"


def epochs(received: str, wrong: str) -> str:
    return value(11, "spec.training.epochs", wrong, received, COUNT)


def swap(old: str, new: str, *errors: str) -> Broken:
    return Broken(f"{old.strip()} -> {new.strip()[:60]}", (old, new), errors)


def text(name: str, content: str | bytes, *errors: str) -> Broken:
    return Broken(name, content, errors)


EPOCHS = "epochs: 80"
STOPPING = "{monitor: val_loss, patience: 8}"
REDUCE = "{factor: 0.2, min_lr: 1e-6}"
SIZES_KEY = "spec.callbacks.batch_size_changes"
STOP_KEY = "spec.callbacks.early_stopping"
REDUCE_KEY = "spec.callbacks.reduce_lr_on_plateau"
CONDITIONS = "spec.callbacks.stopping"
FACTOR = "a number between 0 and 1, both excluded"
INSTALLED = ":8: spec.training.model: names an installed package, received "

TABLE = [
    # The text itself.
    text("empty", "", ": the file is empty, expected an experiment"),
    text("only a comment", "# nothing\n", ": the file is empty, expected an experiment"),
    text("a number", "5\n", ":1: wrong type, received 5, expected a mapping"),
    text("a list", "- 5\n", ":1: wrong type, received a list, expected a mapping"),
    text("null", "null\n", ":1: wrong type, received null, expected a mapping"),
    text(
        "an empty mapping",
        "{}\n",
        ':1: apiVersion: missing, expected "perdure.dev/v1alpha1"',
        ':1: kind: missing, expected "Experiment"',
        ":1: metadata: missing, expected a mapping",
        ":1: spec: missing, expected a mapping",
    ),
    text("UTF-8 mark", b"\xef\xbb\xbf" + BASE.encode(), ":1: begins with a byte order mark of UTF-8, expected UTF-8 without one"),
    text("UTF-16", BASE.encode("utf-16-le").join([b"\xff\xfe", b""]), ":1: begins with a byte order mark of UTF-16, expected UTF-8 without one"),
    text("Latin-1", BASE.encode() + b"# caf\xe9\n", ":24: not UTF-8, received byte 0xe9, expected text in UTF-8"),
    text("control character", BASE + "a: \x07\n", ":24: not valid YAML: unacceptable character U+0007"),
    text("too large", BASE.encode() + b"#" * (1 << 20), ": larger than 1048576 bytes"),
    text("two documents", BASE + "---\nkind: Experiment\n", ":24: several documents in one file, expected one document"),
    text("YAML 1.1", "%YAML 1.1\n---\n" + BASE, ":2: another version of YAML, expected YAML 1.2"),
    text("an escape beyond Unicode", 'a: "\\UFFFFFFFF"\n', ": not valid YAML: an escape or a directive that cannot be read"),
    swap("    " + EPOCHS, "\tepochs: 80", ":11: not valid YAML: found character '\\t' that cannot start any token, indent with spaces, not with tabs"),
    swap(EPOCHS, "epochs: [80", ":12: not valid YAML: expected ',' or ']', but got ':'"),
    swap(EPOCHS, "epochs: 80: 90", ":11: not valid YAML: mapping values are not allowed here"),
    swap(EPOCHS, "epochs: *many", ":11: alias *many has no anchor before it"),
    swap(EPOCHS, "epochs: &many [*many]", ":11: alias *many contains itself"),
    swap("{units: 64}", "{units: " + "[" * 60 + "]" * 60 + "}", ":10: nested more than 50 levels deep"),
    text(
        "aliases that explode",
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
        "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n",
        ":1: more than 10000 values once its aliases are expanded",
    ),
    text("aliases that nest", "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)), ":1: nested more than 50 levels deep"),
    text("too many values", "a:\n" + "- 1\n" * 10_001, ":9999: more than 10000 values"),
    # What YAML can say and an experiment cannot.
    swap(EPOCHS, "epochs: 80\n    epochs: 90", ":12: spec.training.epochs: key given twice, first on line 11"),
    swap("keep: 3", "keep: 3, keep: 4", ":19: spec.callbacks.best_models.0.keep: key given twice, first on line 19"),
    swap(EPOCHS, "epochs: 80\n    5: 6", ":12: spec.training: a key must be text, received 5, expected text, put it in quotes"),
    swap(EPOCHS, "epochs: 80\n    ? [a]\n    : 6", ":12: spec.training: a key must be text, received a list, expected text, put it in quotes"),
    swap(EPOCHS, "epochs: !!python/object/apply:os.getcwd []", ":11: spec.training.epochs: tags are not allowed, received !!python/object/apply:os.getcwd, expected a value without a tag"),
    swap("units: 64", "units: !!binary aGk=", ":10: spec.training.parameters.units: tags are not allowed, received !!binary, expected a value without a tag"),
    swap("units: 64", "units: !mine 3", ":10: spec.training.parameters.units: tags are not allowed, received !mine, expected a value without a tag"),
    swap("units: 64", "<<: {units: 64}", ":10: spec.training.parameters.<<: merge keys are not allowed, expected the keys themselves"),
    swap("units: 64", "day: 2024-02-30", ":10: spec.training.parameters.day: dates are not allowed, received 2024-02-30, expected text, put it in quotes"),
    swap("units: 64", "units: 99999999999999999999", ":10: spec.training.parameters.units: number too large, received 99999999999999999999, expected a number of at most 64 bits"),
    swap("units: 64", "units: -1e999", ":10: spec.training.parameters.units: number too large, received -1e999, expected a number of at most 64 bits"),
    swap("units: 64", "units: [1, .nan, {deep: -.inf}]", ":10: spec.training.parameters.units.1: not a finite number, received .nan, expected a finite number", ":10: spec.training.parameters.units.2.deep: not a finite number, received -.inf, expected a finite number"),
    swap("units: 64", 'units: "\\ud800"', ":10: spec.training.parameters.units: half of a surrogate pair, received '\\ud800', expected whole characters"),
    # Types.
    swap(EPOCHS, 'epochs: "80"', epochs('"80"', "wrong type")),
    swap(EPOCHS, "epochs: 80.0", epochs("80.0", "wrong type")),
    swap(EPOCHS, "epochs: true", epochs("true", "wrong type")),
    swap(EPOCHS, "epochs:", epochs("null", "wrong type")),
    swap(EPOCHS, "epochs: []", epochs("[]", "wrong type")),
    swap(EPOCHS, "epochs: {at_most: 80}", epochs("a mapping", "wrong type")),
    swap(EPOCHS, "epochs: 1_000", value(11, "spec.training.epochs", "'_' within a number", "1_000", "digits alone, or text in quotes")),
    swap(EPOCHS, "epochs: 0b11", epochs('"0b11"', "wrong type")),
    swap(EPOCHS, "epochs: -0o17", epochs('"-0o17"', "wrong type")),
    swap("deterministic: true", "deterministic: yes", value(14, "spec.training.deterministic", "wrong type", '"yes"', "true or false")),
    swap("deterministic: true", "deterministic: 1", value(14, "spec.training.deterministic", "wrong type", "1", "true or false")),
    swap("{units: 64}", "[64]", value(10, "spec.training.parameters", "wrong type", "a list", "a mapping")),
    swap("model: model.py:build", "model: 5", value(8, "spec.training.model", "wrong type", "5", REFERENCE)),
    swap(STOPPING, "maybe", value(17, STOP_KEY, "wrong type", '"maybe"', "a mapping or true or false or null")),
    swap("csv_log: true", "csv_log: {path: x}", value(20, "spec.callbacks.csv_log", "not allowed", "a mapping", "true or false or {} or null")),
    swap("[callbacks.py:make]", "true", value(22, "spec.callbacks.custom", "not allowed", "true", "a list or false or null")),
    swap("{monitor: val_loss}]", "val_loss]", value(19, "spec.callbacks.best_models.1", "wrong type", '"val_loss"', "a mapping")),
    text("callbacks that are a number", BASE[: BASE.index("  callbacks:")] + "  callbacks: 5\nother: 1\n", value(16, "spec.callbacks", "wrong type", "5", "a mapping"), ":17: other: unknown key"),
    # Ranges.
    swap(EPOCHS, "epochs: 0", epochs("0", "not allowed")),
    swap(EPOCHS, "epochs: 2147483648", epochs("2147483648", "not allowed")),
    swap("seed: 42", "seed: -1", value(13, "spec.training.seed", "not allowed", "-1", "an integer from 0 to 4294967295")),
    swap("workers: 2", "workers: 0", value(6, "spec.workers", "not allowed", "0", "an integer from 1 to 4096")),
    swap("patience: 8", "patience: -1", value(17, f"{STOP_KEY}.patience", "not allowed", "-1", COUNT_OR_ZERO)),
    swap("patience: 8", "min_delta: -0.5", value(17, f"{STOP_KEY}.min_delta", "not allowed", "-0.5", "a number of at least 0")),
    swap("patience: 8", "baseline: .inf", value(17, f"{STOP_KEY}.baseline", "not a finite number", ".inf", "a number or null")),
    swap("factor: 0.2", "factor: 1.0", value(18, f"{REDUCE_KEY}.factor", "not allowed", "1.0", FACTOR)),
    swap("factor: 0.2", "factor: 0", value(18, f"{REDUCE_KEY}.factor", "not allowed", "0", FACTOR)),
    swap("min_lr: 1e-6", "min_lr: .nan", value(18, f"{REDUCE_KEY}.min_lr", "not a finite number", ".nan", "a number of at least 0")),
    swap("keep: 3", "keep: 0", value(19, "spec.callbacks.best_models.0.keep", "not allowed", "0", COUNT)),
    swap("threads: auto", "threads: 0", value(15, "spec.training.threads", "not allowed", "0", 'an integer from 1 to 1024 or "auto"')),
    # Words.
    swap("threads: auto", "threads: Auto", value(15, "spec.training.threads", "not allowed", '"Auto"', 'an integer from 1 to 1024 or "auto", did you mean \'auto\'?')),
    swap("patience: 8", "mode: mim", value(17, f"{STOP_KEY}.mode", "not allowed", '"mim"', MODE + ", did you mean 'min'?")),
    swap("update_freq: epoch", "update_freq: batch", value(21, "spec.callbacks.tensorboard.update_freq", "not allowed", '"batch"', COUNT + ' or "epoch"')),
    swap("monitor: val_accuracy", "monitor: val accuracy", value(19, "spec.callbacks.best_models.0.monitor", "not allowed", '"val accuracy"', METRIC)),
    swap("monitor: val_accuracy", "monitor: ../../x", value(19, "spec.callbacks.best_models.0.monitor", "not allowed", '"../../x"', METRIC)),
    swap("kind: Experiment", "kind: experiment", value(2, "kind", "not allowed", '"experiment"', "\"Experiment\", did you mean 'Experiment'?")),
    swap("perdure.dev/v1alpha1", "perdure.dev/v1", value(1, "apiVersion", "not allowed", '"perdure.dev/v1"', "\"perdure.dev/v1alpha1\", did you mean 'perdure.dev/v1alpha1'?")),
    swap("name: digits", "name: Digits_1", value(4, "metadata.name", "not allowed", '"Digits_1"', NAME)),
    swap("name: digits", "name: " + "a" * 41, value(4, "metadata.name", "not allowed", f'"{"a" * 41}"', NAME)),
    swap("url: ./runs", "url: http://host/runs", value(23, "spec.storage.url", "not allowed", '"http://host/runs"', URL)),
    swap("url: ./runs", 'url: "gs://"', value(23, "spec.storage.url", "not allowed", '"gs://"', URL)),
    swap("url: ./runs", "url: ~/runs", value(23, "spec.storage.url", "not allowed", '"~/runs"', URL)),
    swap("url: ./runs", 'url: ""', value(23, "spec.storage.url", "not allowed", '""', URL)),
    # Keys.
    swap("    " + EPOCHS + "\n", "", f":7: spec.training.epochs: missing, expected {COUNT}"),
    swap(EPOCHS, "epoch: 80", f":7: spec.training.epochs: missing, expected {COUNT}", ":11: spec.training.epoch: unknown key, did you mean 'epochs'?"),
    swap("seed: 42", "globalBatchSize: 42", ":13: spec.training.globalBatchSize: unknown key, did you mean 'global_batch_size'?"),
    swap("workers: 2", "batch_size: 2", ":6: spec.batch_size: unknown key, did you mean spec.training.global_batch_size?"),
    swap("workers: 2", "epochs: 2", ":6: spec.epochs: unknown key, did you mean spec.training.epochs?"),
    swap("csv_log: true", "slack: true", ":20: spec.callbacks.slack: unknown key"),
    swap("seed: 42", '"se\\ned\\u202e": 42', ':13: spec.training."se\\ned\\u202e": unknown key, did you mean \'seed\'?'),
    # Between keys.
    swap("global_batch_size: 60", "global_batch_size: 61", value(12, "spec.training.global_batch_size", "not divisible by the 2 workers", "61", "a multiple of 2 (later also of the number of all their devices)")),
    swap("{monitor: val_loss}]", "{monitor: val_accuracy}]", value(19, "spec.callbacks.best_models.1.monitor", "same monitor as callbacks.best_models.0", '"val_accuracy"', "a different monitor in every entry")),
    swap("{monitor: val_accuracy, keep: 3}, {monitor: val_loss}", "{}, {keep: 2}", ":19: spec.callbacks.best_models.1.monitor: same monitor as callbacks.best_models.0, expected a different monitor in every entry"),
    swap("csv_log: true", "batch_size_changes: {}", f":20: {SIZES_KEY}: neither schedule nor on_plateau, received {{}}, expected one of the two"),
    swap("csv_log: true", "batch_size_changes: {schedule: [{epoch: 2, size: 8}], on_plateau: {max_size: 8}}", f":20: {SIZES_KEY}: both schedule and on_plateau, received a mapping, expected one of the two"),
    swap("csv_log: true", "batch_size_changes: {schedule: [{epoch: 9, size: 61}, {epoch: 9, size: 62}]}", value(20, f"{SIZES_KEY}.schedule.0.size", "not divisible by the 2 workers", "61", "a multiple of 2"), value(20, f"{SIZES_KEY}.schedule.1.epoch", "not behind the entry before", "9", "ascending epochs")),
    swap("csv_log: true", "batch_size_changes: {schedule: [{epoch: 2, size: 8}]}\n    learning_rate: {warmup_epochs: 3}", value(21, "spec.callbacks.learning_rate.warmup_epochs", "given in epochs, whose steps change with callbacks.batch_size_changes", "3", "warmup_steps in its place, or training.steps_per_epoch")),
    swap("csv_log: true", "batch_size_changes: {on_plateau: {factor: 1}}", f":20: {SIZES_KEY}.on_plateau.max_size: missing, expected {COUNT}", value(20, f"{SIZES_KEY}.on_plateau.factor", "not allowed", "1", "an integer from 2 to 1000")),
    swap("csv_log: true", "batch_inspection: {call: callbacks.py:look}", ':20: spec.callbacks.batch_inspection.call: callbacks.py defines no look, received "callbacks.py:look"'),
    # Conditions, with the column of each mistake.
    swap("csv_log: true", "stopping: {when: val_loss plateau 5}", value(20, f"{CONDITIONS}.when", "column 10: unexpected 'plateau' behind 'val_loss'", '"val_loss plateau 5"', "one of <, <=, >, >=, or plateaus")),
    swap("csv_log: true", "stopping: {any: [loss > 1, a plateaus 0 or b >]}", value(20, f"{CONDITIONS}.any.1", "column 12: 0 is no number of epochs, expected a number of epochs from 1 up; column 20: unexpected the end, expected a number", '"a plateaus 0 or b >"', EXAMPLE)),
    swap("csv_log: true", "stopping: {}", value(20, CONDITIONS, "nothing that could stop", "{}", "when, any, all, max_time or max_gpu_hours")),
    swap("csv_log: true", "stopping: {when: 5}", value(20, f"{CONDITIONS}.when", "wrong type", "5", f"{EXAMPLE} or null")),
    swap("csv_log: true", "learning_rate: {schedule: step}", value(20, "spec.callbacks.learning_rate.schedule", "not allowed", '"step"', 'one of "constant", "linear", "cosine", "exponential"')),
    # What is named beside the file.
    swap("model.py:build", "model.py:biuld", ":8: spec.training.model: model.py defines no biuld, received \"model.py:biuld\", did you mean 'model.py:build'?"),
    swap("model.py:build", "models.py:build", ":8: spec.training.model: no file models.py beside the experiment file, received \"models.py:build\", did you mean 'model.py:build'?"),
    swap("model.py:build", "layers/conv.py:build", ':8: spec.training.model: no file layers/conv.py beside the experiment file, received "layers/conv.py:build"'),
    swap("model.py:build", "model:build", INSTALLED + "\"model:build\", did you mean 'model.py:build'?"),
    swap("model.py:build", "layers.dense:build", INSTALLED + "\"layers.dense:build\", did you mean 'layers/dense.py:build'?"),
    swap("model.py:build", "model.py", value(8, "spec.training.model", "not allowed", '"model.py"', REFERENCE)),
    swap("model.py:build", "../model.py:build", value(8, "spec.training.model", "not allowed", '"../model.py:build"', REFERENCE)),
    swap("model.py:build", "/model.py:build", value(8, "spec.training.model", "not allowed", '"/model.py:build"', REFERENCE)),
    swap("model.py:build", "torn.py:build", ':8: spec.training.model: torn.py is not valid Python: line 2: invalid syntax, received "torn.py:build"'),
    swap("callbacks.py:make", "callbacks.py:hidden", ':22: spec.callbacks.custom.0: callbacks.py defines no hidden, received "callbacks.py:hidden"'),
    swap("threads: auto", "initial_weights: start.keras", ':15: spec.training.initial_weights: no such file, received "start.keras", expected a path from this file'),
    swap("threads: auto", "initial_weights: start.pkl", value(15, "spec.training.initial_weights", "not allowed", '"start.pkl"', "the path of a .keras, .weights.h5 or .h5 file or null")),
    # All at once.
    text(
        "many errors",
        BASE.replace(EPOCHS, "epochs: 0\n    epochs: 1\n    sed: 1").replace("workers: 2", "workers: 7").replace("patience: 8", "patience: x").replace("data.py:load", "data.py:lod"),
        ":9: spec.training.data: data.py defines no lod, received \"data.py:lod\", did you mean 'data.py:load'?",
        epochs("0", "not allowed"),
        ":12: spec.training.epochs: key given twice, first on line 11",
        ":13: spec.training.sed: unknown key, did you mean 'seed'?",
        value(14, "spec.training.global_batch_size", "not divisible by the 7 workers", "60", "a multiple of 7 (later also of the number of all their devices)"),
        value(19, f"{STOP_KEY}.patience", "wrong type", '"x"', COUNT_OR_ZERO),
    ),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors_of(path: str, *overrides: str) -> list[str]:
    with pytest.raises(ExperimentErrors) as caught:
        load_experiment(path, overrides)
    assert str(caught.value).split("\n") == [str(error) for error in caught.value.errors]
    return [str(error) for error in caught.value.errors]


def test_the_base_is_valid(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(BASE)
    experiment = load_experiment("experiment.yaml")
    assert experiment.name == "digits"
    assert experiment.spec.training.epochs == 80
    assert experiment.spec.callbacks.reduce_lr_on_plateau is not None
    assert experiment.spec.callbacks.reduce_lr_on_plateau.min_lr == 1e-6


@pytest.mark.parametrize("broken", TABLE, ids=lambda broken: broken.name)
def test_every_error_of_a_broken_file_is_told(folder: Path, broken: Broken) -> None:
    (folder / "experiment.yaml").write_bytes(broken.content())
    assert errors_of("experiment.yaml") == [f"experiment.yaml{error}" for error in broken.errors]


def test_the_table_is_as_long_as_promised_and_has_no_row_twice() -> None:
    assert len({broken.content() for broken in TABLE}) == len(TABLE) >= 40


@pytest.mark.parametrize(
    "reference",
    [
        "model.py:other",
        "starred.py:anything",
        "layers/dense.py:build",
        "data.py:Rows",
        "an.installed:package",
    ],
)
def test_a_reference_to_something_defined_is_valid(folder: Path, reference: str) -> None:
    (folder / "experiment.yaml").write_text(BASE.replace("model.py:build", reference))
    assert load_experiment("experiment.yaml").spec.training.model == reference


def test_a_module_that_python_cannot_read_is_named(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(BASE.replace("model.py:build", "null.py:x"))
    (error,) = errors_of("experiment.yaml")
    assert error.startswith("experiment.yaml:8: spec.training.model: null.py ")


def test_initial_weights_may_lie_beside_the_file_or_in_a_store(folder: Path) -> None:
    (folder / "start.weights.h5").touch()
    for weights in ("start.weights.h5", "gs://bucket/start.keras"):
        (folder / "experiment.yaml").write_text(BASE.replace("threads: auto", f"initial_weights: {weights}"))
        assert load_experiment("experiment.yaml").spec.training.initial_weights == weights


def test_an_alias_within_bounds_stands_for_its_value(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(
        BASE.replace("seed: 42", "seed: &n 9").replace("epochs: 80", "epochs: *n")
    )
    assert errors_of("experiment.yaml") == ["experiment.yaml:11: alias *n has no anchor before it"]
    (folder / "experiment.yaml").write_text(
        BASE.replace("epochs: 80", "epochs: &n 9").replace("seed: 42", "seed: *n")
    )
    assert load_experiment("experiment.yaml").spec.training.seed == 9


def test_a_missing_file_is_told_with_what_lies_there(folder: Path) -> None:
    assert errors_of("none.yaml") == ["none.yaml: no such file"]
    (folder / "experiment.yml").write_text(BASE)
    assert errors_of(".") == ["experiment.yaml: no such file, did you mean 'experiment.yml'?"]
    assert errors_of("no/where") == ["no/where: no such file"]


def test_a_folder_stands_for_its_experiment_file(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(BASE)
    assert load_experiment(folder) == load_experiment(folder / "experiment.yaml")


def test_what_is_no_readable_file_is_told(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    (folder / "folder" / "experiment.yaml").mkdir(parents=True)
    assert errors_of("pipe") == ["pipe: not a regular file"]
    assert errors_of("folder") == ["folder/experiment.yaml: not a regular file"]
    assert errors_of("loop") == ["loop: cannot be read: Too many levels of symbolic links"]
    assert errors_of("x" * 300) == [f"{'x' * 300}: cannot be read: File name too long"]
    assert errors_of("a\0b") == ["'a\\x00b': not the name of a file"]
