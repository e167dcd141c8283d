"""The models by themselves, without a file: what they take and refuse, and that they survive a dump."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.contract.launch import MetricsSpec, RestartSpec, StorageSpec
from trainer.contract.learning_rate import LearningRate
from trainer.contract.pod_spec import PodSpec, ResourcesSpec
from trainer.contract.stopping import Stopping
from trainer.contract.training import (
    BestModel,
    CallbacksSpec,
    EarlyStopping,
    Experiment,
    ExperimentDocument,
    ExperimentSpec,
    GradientMonitor,
    ReduceLROnPlateau,
    TensorBoard,
    TrainingSpec,
    Watchdog,
    cross_field_problems,
)

TRAINING = {"model": "model.py:build", "data": "data.py:load", "epochs": 3, "global_batch_size": 12}


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({"training": TRAINING, **changes})


def test_defaults() -> None:
    expected = ExperimentSpec(
        workers=1,
        training=TrainingSpec(
            model="model.py:build",
            data="data.py:load",
            parameters={},
            epochs=3,
            global_batch_size=12,
            seed=0,
            deterministic=True,
            threads="auto",
            initial_weights=None,
            steps_per_epoch=None,
            steps_per_execution=1,
            validation_steps=None,
            validation_freq=1,
            shuffle=True,
        ),
        callbacks=CallbacksSpec(
            early_stopping=EarlyStopping(
                monitor="val_loss",
                min_delta=0.0,
                patience=10,
                mode="auto",
                baseline=None,
                restore_best_weights=True,
                start_from_epoch=0,
            ),
            reduce_lr_on_plateau=None,
            best_models=(BestModel(monitor="val_loss", mode="auto", keep=1, weights_only=False, ema=False),),
            csv_log=True,
            tensorboard=TensorBoard(
                histogram_freq=1,
                write_graph=True,
                write_images=False,
                write_experiment=True,
                update_freq="epoch",
                samples_freq=0,
                samples=8,
                embeddings_freq=0,
                embeddings_layer_names=(),
                embeddings_rows=1000,
                profile_batch=0,
            ),
            watchdog=None,
            gradient_monitor=None,
            custom=(),
        ),
        storage=StorageSpec(url=None, claim=None, create=None, path=None, secret=None),
        pod=PodSpec(image=None, resources=ResourcesSpec(cpu="1", memory=None, gpu=0), shm_size="1Gi"),
        restart=RestartSpec(max_failures=8, group_wait=900, node_lost_after=30, notice=120),
        disruption="allow",
        deadline=None,
        ttl=None,
        metrics=MetricsSpec(**{"from": ()}),
    )
    assert spec() == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("early_stopping", True, EarlyStopping()),
        ("early_stopping", {}, EarlyStopping()),
        ("early_stopping", False, None),
        ("early_stopping", None, None),
        ("early_stopping", {"patience": 3}, EarlyStopping(patience=3)),
        ("reduce_lr_on_plateau", True, ReduceLROnPlateau()),
        ("reduce_lr_on_plateau", {}, ReduceLROnPlateau()),
        ("reduce_lr_on_plateau", False, None),
        ("tensorboard", True, TensorBoard()),
        ("tensorboard", None, None),
        ("best_models", True, (BestModel(),)),
        ("best_models", {}, (BestModel(),)),
        ("best_models", False, ()),
        ("best_models", None, ()),
        ("best_models", [], ()),
        ("best_models", [{"keep": 2}], (BestModel(keep=2),)),
        ("stopping", False, None),
        ("stopping", None, None),
        ("stopping", {"when": "a > 3"}, Stopping(when="a > 3")),
        ("stopping", {"max_time": "2m"}, Stopping(max_time=120)),
        ("learning_rate", False, None),
        ("learning_rate", {"warmup_steps": 3}, LearningRate(warmup_steps=3)),
        ("watchdog", True, Watchdog()),
        ("watchdog", None, None),
        ("watchdog", {"non_finite": None}, Watchdog(non_finite=None)),
        ("gradient_monitor", {}, GradientMonitor()),
        ("gradient_monitor", False, None),
        ("csv_log", {}, True),
        ("csv_log", None, False),
        ("custom", None, ()),
        ("custom", False, ()),
        ("custom", ["a.py:b"], ("a.py:b",)),
    ],
)
def test_callbacks_can_be_switched(key: str, value: object, expected: object) -> None:
    assert getattr(spec(callbacks={key: value}).callbacks, key) == expected


@pytest.mark.parametrize(
    ("callbacks", "expected"),
    [
        ({"stopping": {"when": "loss > 3"}}, None),
        ({"stopping": {"any": ["loss > 3"]}}, None),
        ({"stopping": {"when": "loss > 3"}, "early_stopping": {}}, EarlyStopping()),
        ({"stopping": {"max_time": 60}}, EarlyStopping()),
        ({"stopping": None}, EarlyStopping()),
        ({"stopping": Stopping(all=("loss > 3",))}, None),  # type: ignore[call-arg]  # pydantic's plugin knows no alias
    ],
)
def test_conditions_take_the_place_of_the_early_stopping_that_nobody_asked_for(
    callbacks: dict[str, Any], expected: object
) -> None:
    assert CallbacksSpec.model_validate(callbacks).early_stopping == expected


STOPPING: tuple[str, ...] = ("callbacks", "stopping")
RATE: tuple[str, ...] = ("callbacks", "learning_rate")


@pytest.mark.parametrize(
    ("callbacks", "paths"),
    [
        ({"stopping": {}}, [STOPPING]),
        ({"stopping": {"any": []}}, [STOPPING]),
        (
            {"stopping": {"any": ["a > 1"], "when": "a > 1", "all": ["a > 1"]}},
            [(*STOPPING, "any"), (*STOPPING, "all")],
        ),
        ({"stopping": {"when": "a > 1", "monitor": "val_f1"}}, []),
        ({"stopping": {"when": "a > 1", "monitor": "val_f1"}, "early_stopping": None}, []),
        (
            {"stopping": {"when": "a > 1", "monitor": "val_f1"}, "early_stopping": {}},
            [(*STOPPING, "monitor")],
        ),
        (
            {"stopping": {"when": "a > 1", "monitor": "val_f1"}, "early_stopping": True},
            [(*STOPPING, "monitor")],
        ),
        ({"stopping": {"max_time": 5, "monitor": "val_f1"}}, [(*STOPPING, "monitor")]),
        ({"stopping": {"max_time": 5, "monitor": "val_f1", "restore_best_weights": False}}, []),
        ({"stopping": {"when": "a > 1"}, "early_stopping": {}}, []),
        ({"learning_rate": {}}, [RATE]),
        ({"learning_rate": {"warmup_steps": 1, "warmup_epochs": 1}}, [(*RATE, "warmup_steps")]),
        (
            {"learning_rate": {"schedule": "cosine", "decay_steps": 1, "decay_epochs": 1}},
            [(*RATE, "decay_steps")],
        ),
        ({"learning_rate": {"schedule": "exponential"}}, [(*RATE, "alpha")]),
        ({"learning_rate": {"schedule": "exponential", "alpha": 0.1}}, []),
        ({"learning_rate": {"warmup_steps": 2, "alpha": 0.1}}, [(*RATE, "alpha")]),
    ],
)
def test_problems_between_the_keys_of_a_callback(
    callbacks: dict[str, Any], paths: list[tuple[str, ...]]
) -> None:
    assert [path for path, _, _ in cross_field_problems({"callbacks": callbacks})] == paths


@pytest.mark.parametrize(
    ("rate", "keys"),
    [
        ({"warmup_epochs": 2}, ["warmup_epochs"]),
        ({"warmup_epochs": 2, "schedule": "cosine", "decay_epochs": 3}, ["warmup_epochs", "decay_epochs"]),
        ({"warmup_epochs": 2, "schedule": "linear"}, ["warmup_epochs", "schedule"]),
        ({"warmup_steps": 2, "schedule": "linear"}, ["schedule"]),
        ({"warmup_steps": 2, "schedule": "linear", "decay_steps": 9}, []),
        ({"warmup_steps": 2}, []),
    ],
)
def test_epochs_of_a_schedule_need_a_length_where_the_batch_size_changes(
    rate: dict[str, Any], keys: list[str]
) -> None:
    changing = {"learning_rate": rate, "batch_size_changes": {"schedule": [{"epoch": 1, "size": 8}]}}
    found = cross_field_problems({"callbacks": changing})
    assert [path for path, _, _ in found] == [(*RATE, key) for key in keys]
    # With a fixed number of steps an epoch is as long as before; and without a change all is well.
    assert cross_field_problems({"callbacks": changing, "training": {"steps_per_epoch": 5}}) == []
    assert cross_field_problems({"callbacks": {"learning_rate": rate}, "training": {}}) == []


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (EarlyStopping, {"min_delta": True}),
        (EarlyStopping, {"patience": 1.0}),
        (EarlyStopping, {"baseline": float("nan")}),
        (EarlyStopping, {"restore_best_weights": 1}),
        (EarlyStopping, {"min_delta": 10**400}),
        (ReduceLROnPlateau, {"factor": 1}),
        (ReduceLROnPlateau, {"factor": 0.0}),
        (ReduceLROnPlateau, {"min_lr": -1e-9}),
        (Watchdog, {"non_finite": "rollback"}),
        (Watchdog, {"max_loss_ratio": 1.0}),
        (Watchdog, {"rate_factor": 0.0}),
        (Watchdog, {"rate_factor": 1.5}),
        (Watchdog, {"max_roll_backs": 0}),
        (GradientMonitor, {"every": 0}),
        (GradientMonitor, {"max_norm": 0.0}),
        (GradientMonitor, {"max_dead_units": 1.0}),
        (BestModel, {"monitor": "a/b"}),
        (BestModel, {"monitor": "val_loss\n"}),
        (BestModel, {"monitor": ""}),
        (TensorBoard, {"update_freq": "batch"}),
        (TrainingSpec, {**TRAINING, "epochs": True}),
        (TrainingSpec, {**TRAINING, "parameters": {"a": object()}}),
        (TrainingSpec, {**TRAINING, "parameters": {5: "a"}}),
        (TrainingSpec, {**TRAINING, "parameters": {"a": {5: "a"}}}),
        (TrainingSpec, {**TRAINING, "parameters": {"a": 2**63}}),
        (TrainingSpec, {**TRAINING, "parameters": {"{a}": [float("inf")]}}),
        (TrainingSpec, {**TRAINING, "epoch": 1}),
        (Stopping, {"when": ""}),
        (Stopping, {"when": "a >"}),
        (Stopping, {"when": True}),
        (Stopping, {"any": "a > 1"}),
        (Stopping, {"any": ["a > 1", "b"]}),
        (Stopping, {"any": False}),
        (Stopping, {"max_gpu_hours": 0}),
        (Stopping, {"any_conditions": ["a > 1"]}),
        (LearningRate, {"warmup_from": 1.5}),
        (LearningRate, {"schedule": "step"}),
        (LearningRate, {"decay_steps": 0}),
        (CallbacksSpec, {"stopping": True}),
        (CallbacksSpec, {"learning_rate": True}),
        (CallbacksSpec, {"custom": True}),
        (CallbacksSpec, {"best_models": [True]}),
        (StorageSpec, {"url": "s3://key:secret@bucket\n"}),
    ],
)
def test_wrong_values_are_refused(model: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


@pytest.mark.parametrize(
    "url", ["./runs", "runs", "/data/my runs", "../runs", "file:///r", "gs://b/r", "memory://r"]
)
def test_folders_and_urls_are_storage(url: str) -> None:
    assert StorageSpec(url=url).url == url


def test_models_are_frozen() -> None:
    with pytest.raises(ValidationError):
        spec().workers = 2  # type: ignore[misc]  # the very thing that must fail


def test_the_batch_must_be_divisible_by_the_workers() -> None:
    assert spec(workers=3).workers == 3
    with pytest.raises(ValidationError, match="not divisible by the 5 workers"):
        spec(workers=5)


@pytest.mark.parametrize("batches", [0, 5, [10, 20], [3, 3]])
def test_batches_to_profile(batches: Any) -> None:
    board = TensorBoard.model_validate({"profile_batch": batches})
    assert board.profile_batch == (tuple(batches) if isinstance(batches, list) else batches)
    callbacks = CallbacksSpec(tensorboard=board)
    assert spec(callbacks=callbacks).callbacks == CallbacksSpec.model_validate(
        callbacks.model_dump(mode="json")
    )


@pytest.mark.parametrize("batches", [(20, 10), (1,), (1, 2, 3), ()])
def test_no_range_of_batches_is_refused(batches: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="no range of batches, expected the first and the last batch"):
        spec(callbacks=CallbacksSpec(tensorboard=TensorBoard(profile_batch=batches)))


def test_problems_between_fields_are_found_in_what_is_not_valid_otherwise() -> None:
    raw = {
        "workers": 5,
        "training": {"global_batch_size": 12, "epochs": "x"},
        "callbacks": {"best_models": [{"monitor": "loss"}, 5, {"monitor": "loss"}]},
    }
    assert [path for path, _, _ in cross_field_problems(raw)] == [
        ("training", "global_batch_size"),
        ("callbacks", "best_models", 2, "monitor"),
    ]


@pytest.mark.parametrize("raw", [None, 5, [], {}, {"training": 5, "callbacks": 5}, {"workers": True}])
def test_what_cannot_be_compared_has_no_problem_between_fields(raw: object) -> None:
    assert cross_field_problems(raw) == []


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
parameters = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
experiments = st.builds(
    Experiment,
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    spec=st.builds(
        ExperimentSpec,
        workers=st.sampled_from([1, 2, 3]),
        training=st.builds(
            TrainingSpec,
            model=names.map(lambda name: f"{name}.py:build"),
            data=names.map(lambda name: f"package.{name}:load"),
            parameters=st.dictionaries(st.text(), parameters, max_size=3),
            epochs=st.integers(1, 100),
            global_batch_size=st.sampled_from([6, 12]),
            threads=st.just("auto") | st.integers(1, 8),
            steps_per_epoch=st.none() | st.integers(1, 9),
        ),
        callbacks=st.builds(
            CallbacksSpec,
            early_stopping=st.none() | st.builds(EarlyStopping, baseline=st.none() | st.integers(0, 9)),
            reduce_lr_on_plateau=st.none() | st.builds(ReduceLROnPlateau, factor=st.sampled_from([0.1, 0.5])),
            best_models=st.lists(names, unique=True, max_size=3).map(
                lambda monitors: tuple(BestModel(monitor=monitor) for monitor in monitors)
            ),
            stopping=st.none()
            | st.builds(
                lambda conditions, start: Stopping.model_validate(
                    {"all": conditions, "start_from_epoch": start, "max_time": 60}
                ),
                st.lists(names.map(lambda name: f"m_{name} plateaus 3"), max_size=2),
                st.integers(0, 9),
            ),
            learning_rate=st.none() | st.builds(LearningRate, warmup_steps=st.integers(1, 9)),
            csv_log=st.booleans(),
            custom=st.lists(names.map(lambda name: f"a.py:{name}"), max_size=2).map(tuple),
        ),
    ),
)


@settings(deadline=None)  # a busy machine is not a wrong dump
@given(experiments)
def test_an_experiment_survives_its_dump(experiment: Experiment) -> None:
    dump = json.loads(json.dumps(experiment.model_dump(mode="json")))
    assert Experiment.model_validate(dump) == experiment
    document = json.loads(json.dumps(experiment.document()))
    assert ExperimentDocument.model_validate(document).experiment() == experiment
