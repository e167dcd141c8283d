from trainer.contract.callback_order import CALLBACK_ORDER, CallbackKind
from trainer.contract.training import CallbacksSpec


def test_every_kind_stands_in_the_order_once_with_a_reason():
    assert sorted(position.kind for position in CALLBACK_ORDER) == sorted(CallbackKind)
    assert all(position.reason for position in CALLBACK_ORDER)


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
