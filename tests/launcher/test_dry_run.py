"""What a dry run's traces are held against."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.dry_run import judge, shortened
from launcher.experiment import load_experiment
from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.dry_run import BatchAction, CallbackTrace, Firing, WorkerTrace

METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
DIGITS = Path(__file__).parents[2] / "experiments" / "digits"
TRACES = (
    CallbackTrace("custom", "Mine", chief_only=False, metrics=METRICS),
    CallbackTrace("reduce_lr_on_plateau", "ReduceLROnPlateau", False, ("val_loss",), METRICS, 0.3),
    CallbackTrace("early_stopping", "EarlyStopping", False, ("val_loss",), METRICS),
    CallbackTrace("best_models", "BestModels", True, ("val_accuracy",), METRICS),
    CallbackTrace("best_models", "BestModels", True, ("val_loss",), METRICS),
    CallbackTrace("csv_log", "CSVLog", True, metrics=METRICS),
    CallbackTrace("tensorboard", "TensorBoardLog", True, metrics=METRICS),
)
INSPECTION = (
    CallbackTrace("batch_inspection", "BatchInspection", chief_only=False, metrics=METRICS),
    CallbackTrace("batch_inspection", "BatchLog", True, metrics=METRICS),
)
FILES = (
    "result.json",
    "events.jsonl",
    "checkpoints/4-8-1/manifest.json",
    "best/val_accuracy/00001-0.5.keras",
    "best/val_loss/00001-0.5.keras",
    "logs/training.csv",
    "logs/tensorboard/train/events.1",
    "logs/tensorboard/validation/events.1",
)


@pytest.fixture
def experiment():
    return load_experiment(DIGITS, ["callbacks.custom=[model.py:build]"])


@pytest.fixture
def directory(tmp_path):
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    return tmp_path


def seen(traces, worker):
    """Three epochs in which every callback is called in its place."""
    due = tuple(number for number, each in enumerate(traces) if not (each.chief_only and worker))
    firings = [
        Firing(hook, epoch, None, due) for epoch in range(3) for hook in ("on_epoch_begin", "on_epoch_end")
    ]
    return WorkerTrace(tuple(traces), tuple(firings))


def workers(traces=TRACES, count=2):
    return [seen(traces, worker) for worker in range(count)]


def with_trace(number, **changes):
    return tuple(replace(each, **changes) if n == number else each for n, each in enumerate(TRACES))


def test_what_is_as_it_should_be(experiment, directory):
    found = judge(experiment, workers(), directory)
    assert found.all_problems == []
    assert [(row.callback, row.epochs, row.workers) for row in found.rows] == [
        ("custom.0", 3, 2), ("reduce_lr_on_plateau", 3, 2), ("early_stopping", 3, 2), ("best_models.0", 3, 1),
        ("best_models.1", 3, 1), ("csv_log", 3, 1), ("tensorboard", 3, 1),
    ]  # fmt: skip
    assert found.rows[1].milliseconds == pytest.approx(100)
    assert found.rows[3].files == ("1 x best/val_accuracy/*",)
    lines = found.text(200).splitlines()
    assert lines[0].split()[:4] == ["#", "callback", "class", "epochs"]
    assert all(line.endswith("ok") for line in lines[1:8])
    assert lines[-1] == "Every callback was called in its place, and left what it should."


def test_a_monitor_that_no_epoch_gave(experiment, directory):
    found = judge(experiment, workers(with_trace(2, monitors=("val_acc",))), directory)
    known = "accuracy, learning_rate, loss, val_accuracy, val_loss"
    assert found.rows[2].problems == (f"no epoch gave val_acc, which it decides by; there are: {known}",)
    assert "wrong: early_stopping: no epoch gave val_acc" in found.text(160)


@pytest.mark.parametrize("file", FILES)
def test_each_file_that_is_missing_is_named(file, experiment, directory):
    (directory / file).unlink()
    [problem] = judge(experiment, workers(), directory).all_problems
    assert "left no" in problem


def test_without_validation_a_default_monitor_is_another_one(directory):
    experiment = load_experiment(
        DIGITS,
        [
            "callbacks.best_models=[{}]",
            "callbacks.reduce_lr_on_plateau=false",
            "callbacks.early_stopping=false",
        ],
    )
    (directory / "best" / "loss").mkdir()
    (directory / "best" / "loss" / "00001-0.5.keras").write_text("x")
    metrics = ("loss", "accuracy")
    traces = [replace(each, metrics=metrics) for each in TRACES[4:]]
    traces[0] = replace(traces[0], monitors=("loss",))
    (directory / "logs/tensorboard/validation/events.1").unlink()
    assert judge(experiment, workers(traces), directory).all_problems == []


def test_files_and_network_in_batch_hooks_of_several_workers(experiment, directory):
    action = BatchAction("on_train_batch_end", "opens /tmp/x for writing", 12)
    traces = with_trace(0, actions=(action,))
    [problem] = judge(experiment, workers(traces), directory).all_problems
    assert problem.startswith("custom.0: Mine uses files or the network at every batch, on 2 of 2 workers")
    assert "on_train_batch_end opens /tmp/x for writing" in problem
    # On one worker nobody waits, and nobody races.
    assert judge(experiment, workers(traces, count=1), directory).all_problems == []
    only_chief = [seen(traces, 0), seen(TRACES, 1)]
    assert judge(experiment, only_chief, directory).all_problems == []


@pytest.mark.parametrize(
    ("key", "kind", "adds"),
    [("watchdog", "Watchdog", "watchdog_alerts"), ("gradient_monitor", "GradientMonitor", "gradient_norm")],
)
def test_what_measures_steps_has_to_have_measured_some(key, kind, adds, experiment, directory):
    watching = load_experiment(DIGITS, ["callbacks.custom=[model.py:build]", f"callbacks.{key}=true"])
    idle = CallbackTrace(key, kind, chief_only=False, metrics=METRICS)
    measured = replace(idle, adds=(adds,))
    well = judge(watching, workers((measured, *TRACES)), directory)
    assert well.all_problems == []
    on_one = [seen((measured, *TRACES), 0), seen((idle, *TRACES), 1)]
    [problem] = judge(watching, on_one, directory).all_problems
    assert problem == f"{key}: it measured nothing on worker 1: no epoch has {adds} of it"


def test_what_changes_steps_has_to_have_reached_them(directory):
    warming = load_experiment(
        DIGITS, ["callbacks.custom=[model.py:build]", "callbacks.learning_rate={warmup_steps: 5}"]
    )
    rate = CallbackTrace("learning_rate", "RateSchedule", chief_only=False, metrics=METRICS, in_effect=True)
    traces = (TRACES[0], rate, *TRACES[1:])
    assert judge(warming, workers(traces), directory).all_problems == []
    traces = (TRACES[0], replace(rate, in_effect=False), *TRACES[1:])
    problems = judge(warming, workers(traces), directory).rows[1].problems
    assert [each.partition(":")[0] for each in problems] == [
        f"it did not reach the training steps of worker {worker}" for worker in range(2)
    ]


@pytest.mark.parametrize(
    ("option", "left"),
    [
        (
            "profile_batch",
            {"train/plugins/profile/*/*": "train/plugins/profile/batches-5-5/x.xplane.pb"},
        ),
        (
            "samples_freq",
            {"validation/events.*.samples": "validation/events.out.tfevents.0000000000.samples"},
        ),
        (
            "embeddings_freq",
            {
                "train/projector_config.pbtxt": "train/projector_config.pbtxt",
                "train/projector/*.tsv": "train/projector/words.tsv",
            },
        ),
    ],
)
def test_what_an_option_of_tensorboard_leaves_is_missed(option, left, directory):
    asking = load_experiment(
        DIGITS, ["callbacks.custom=[model.py:build]", f"callbacks.tensorboard={{{option}: 5}}"]
    )
    logs = "logs/tensorboard"
    assert judge(asking, workers(), directory).all_problems == [
        f"tensorboard: left no {logs}/{pattern} in the run directory" for pattern in left
    ]
    for name in left.values():
        (directory / logs / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / logs / name).write_text("x")
    assert judge(asking, workers(), directory).all_problems == []


@pytest.mark.parametrize(
    ("to", "missing"), [("file", ["stream.0: left no logs/steps/*.jsonl in the run directory"]), ("http", [])]
)
def test_records_of_steps_are_looked_for_where_they_go_to_a_file(to, missing, directory):
    streaming = load_experiment(
        DIGITS, ["callbacks.custom=[model.py:build]", f"callbacks.stream=[{{to: {to}}}]"]
    )
    stream = CallbackTrace("stream", "StepStream", chief_only=True, metrics=METRICS, in_effect=True)
    assert judge(streaming, workers((*TRACES[:6], stream, TRACES[6])), directory).all_problems == missing


def test_an_order_that_is_not_the_documented_one(experiment, directory):
    wrong = (TRACES[0], TRACES[2], TRACES[1], *TRACES[3:])
    problems = judge(experiment, workers(wrong), directory).all_problems
    assert [each.partition(" has ")[0] for each in problems] == ["worker 0", "worker 1"]


def test_hooks_that_are_called_in_another_order_or_twice(experiment, directory):
    first, second = workers()
    swapped = replace(first.firings[-1], called=(1, 0, *range(2, 7)))
    first = replace(first, firings=(*first.firings[:-1], swapped))
    [problem] = judge(experiment, [first, second], directory).all_problems
    assert problem.startswith(
        "worker 0 called on_epoch_end of epoch 2 in this order: ReduceLROnPlateau, Mine,"
    )


def test_a_callback_that_was_left_out(experiment, directory):
    first, second = workers()
    silent = tuple(replace(each, called=tuple(n for n in each.called if n != 2)) for each in second.firings)
    problems = judge(experiment, [first, replace(second, firings=silent)], directory).rows[2].problems
    assert problems == ("its on_epoch_end was called 0 times on worker 1, not at the end of 3 epochs",)


def test_a_callback_that_is_not_there(experiment, directory):
    [problem] = judge(experiment, workers(TRACES[:-1]), directory).all_problems
    assert problem == "tensorboard: the experiment asks for it, and there is none"


def test_other_callbacks_on_another_worker(experiment, directory):
    other = [seen(TRACES, 0), seen(with_trace(0, name="Other"), 1)]
    [problem] = judge(experiment, other, directory).all_problems
    assert problem.startswith("custom.0: on worker 1 there is a Other in its place")


def test_the_experiment_is_made_short(experiment):
    short = shortened(experiment, "/tmp/dry").spec
    assert (short.training.epochs, short.training.steps_per_epoch, short.training.validation_steps) == (
        3,
        4,
        4,
    )
    assert (short.storage.url, short.restart.max_failures) == ("/tmp/dry", 0)
    assert short.callbacks == experiment.spec.callbacks
    few = load_experiment(DIGITS, ["training.steps_per_epoch=2", "training.validation_freq=5"])
    training = shortened(few, "/tmp/dry").spec.training
    assert (training.steps_per_epoch, training.validation_freq) == (2, 1)
    seldom = load_experiment(DIGITS, ["callbacks.predictions={freq: 5}"])
    assert shortened(seldom, "/tmp/dry").spec.callbacks.predictions.freq == 3, "or there would be none"


@pytest.mark.parametrize(
    ("asked", "tried"), [("300", 12), ("5", 5), ("[10, 200]", (10, 12)), ("[300, 400]", (12, 12)), ("0", 0)]
)
def test_the_profile_is_taken_within_the_steps_that_there_are(asked, tried):
    late = load_experiment(DIGITS, [f"callbacks.tensorboard={{profile_batch: {asked}}}"])
    assert shortened(late, "/tmp/dry").spec.callbacks.tensorboard.profile_batch == tried


def test_executions_are_what_is_profiled_and_streamed():
    long = load_experiment(
        DIGITS,
        [
            "training.steps_per_execution=2",
            "callbacks.tensorboard={profile_batch: 90}",
            "callbacks.stream=[{to: file, every: 50}]",
            "callbacks.gradient_monitor={every: 50}",
        ],
    )
    callbacks = shortened(long, "/tmp/dry").spec.callbacks
    assert (callbacks.tensorboard.profile_batch, callbacks.stream[0].every) == (6, 2)
    assert callbacks.gradient_monitor.every == 4


def test_what_an_inspection_leaves_is_missed(directory):
    inspected = load_experiment(
        DIGITS, ["callbacks.custom=[model.py:build]", "callbacks.batch_inspection=true"]
    )
    traces = (TRACES[0], *INSPECTION, *TRACES[1:])
    problems = judge(inspected, workers(traces), directory).all_problems
    assert problems == ["batch_inspection: left no logs/batches.jsonl in the run directory"]
    (directory / "logs" / "batches.jsonl").write_text("x")
    assert judge(inspected, workers(traces), directory).all_problems == []


def test_every_kind_with_files_is_among_these():
    kinds = {position.kind for position in CALLBACK_ORDER if position.files}
    assert kinds <= {CallbackKind(each.kind) for each in (*TRACES, *INSPECTION)}
