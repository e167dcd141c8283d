import pytest

from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind, placed
from trainer.contract.training import CallbacksSpec

ON = {
    "batch_inspection": True,
    "batch_size_changes": {"schedule": [{"epoch": 2, "size": 8}]},
    "custom": ["own.py:make", "own.py:more"],
    "gradient_monitor": True,
    "learning_rate": {"warmup_steps": 5},
    "predictions": True,
    "reduce_lr_on_plateau": True,
    "stopping": {"when": "val_loss > 9"},
    "stream": [{"to": "file"}],
    "watchdog": True,
}
OFF = {"early_stopping": False, "best_models": None, "csv_log": False, "tensorboard": False}


def test_every_kind_stands_in_the_order_once_with_a_reason():
    assert sorted(position.kind for position in CALLBACK_ORDER) == sorted(CallbackKind)
    for position in CALLBACK_ORDER:
        assert all((position.reason, position.reads, position.changes, position.state)), position.kind


def test_decisions_come_before_what_is_written():
    places = {position.kind: place for place, position in enumerate(CALLBACK_ORDER)}
    decisions = [
        places[CallbackKind.REDUCE_LR_ON_PLATEAU],
        places[CallbackKind.EARLY_STOPPING],
        places[CallbackKind.STOPPING],
    ]
    written = [
        places[CallbackKind.BEST_MODELS],
        places[CallbackKind.CSV_LOG],
        places[CallbackKind.TENSORBOARD],
    ]
    assert max(decisions) < min(written)


def test_the_kinds_are_the_keys_of_the_experiment_file():
    assert set(CallbackKind) == set(CallbacksSpec.model_fields)


def test_what_an_experiment_has_is_placed_in_that_order():
    spec = CallbacksSpec.model_validate(
        {**ON, "early_stopping": True, "best_models": [{"monitor": "val_mae"}, {}]}
    )
    found = placed(spec)
    assert [each.number for each in found] == list(range(1, 17))
    assert [each.key for each in found] == [
        "watchdog", "gradient_monitor", "custom.0", "custom.1", "batch_inspection", "learning_rate",
        "reduce_lr_on_plateau", "early_stopping", "stopping", "batch_size_changes", "best_models.0",
        "best_models.1", "predictions", "csv_log", "stream.0", "tensorboard",
    ]  # fmt: skip
    assert found[3].options == {"reference": "own.py:more"}
    assert found[10].reads == "val_mae, the weights"
    assert found[10].files(validated=False) == ["best/val_mae/*"]
    board = found[-1]
    assert len(board.files(validated=True)) == len(board.files(validated=False)) + 1


@pytest.mark.parametrize("spec", [{**ON, **OFF}, OFF])
def test_what_is_off_has_no_place(spec):
    switched_on = placed(CallbacksSpec.model_validate(spec))
    kinds = [each.position.kind.value for each in switched_on]
    assert kinds == [
        position.kind.value
        for position in CALLBACK_ORDER
        for _ in ((1, 2) if position.kind is CallbackKind.CUSTOM else (1,))
        if position.kind.value in spec and position.kind.value not in OFF
    ]


@pytest.mark.parametrize("kind", CallbackKind)
def test_every_template_can_be_filled(kind):
    spec = CallbacksSpec.model_validate(
        {**ON, "early_stopping": True, "best_models": True, "tensorboard": True}
    )
    [first, *_] = [each for each in placed(spec) if each.position.kind is kind]
    texts = [first.reads, first.changes, first.state, *first.files(validated=True)]
    assert all(texts)
    assert not any("{" in text for text in texts)
