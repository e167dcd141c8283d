"""What a worker says of its experiment before it trains."""

import json

import keras
import pytest

from trainer import experiment_code, training_run
from trainer.contract.exit_codes import ExitCode
from trainer.contract.training import CallbacksSpec, Experiment
from trainer.failure import SetupError

AVERAGES = CallbacksSpec.model_validate({"best_models": [{}, {"monitor": "loss", "ema": "auto"}]})


def test_averages_that_are_swapped_twice_are_refused() -> None:
    swapping = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    with pytest.raises(SetupError, match=r"callbacks\.best_models\.1\.ema asks for the averages") as refused:
        experiment_code._refuse_double_swap(AVERAGES, [swapping])
    assert refused.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("spec", "swap_on_epoch"), [(AVERAGES, False), (CallbacksSpec(), True)], ids=["validated", "not stored"]
)
def test_averages_that_are_swapped_once_are_fine(spec: CallbacksSpec, swap_on_epoch: bool) -> None:
    experiment_code._refuse_double_swap(spec, [keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)])


def test_the_text_of_an_experiment_has_nothing_of_the_pods_environment() -> None:
    training = {"model": "m.py:build", "data": "d.py:load", "epochs": 1, "global_batch_size": 1}
    pod = {"env": {"TOKEN": "hush"}}
    experiment = Experiment.model_validate({"name": "digits", "spec": {"training": training, "pod": pod}})
    text = training_run._described(experiment)
    assert text.startswith("# digits\n")
    shown = json.loads(text.split("```json\n")[1].removesuffix("```"))
    assert set(shown) == {"workers", "training", "callbacks"}
    assert "hush" not in text


def test_each_batch_that_is_predicted_is_told_once_it_is_used() -> None:
    seen: list[object] = []
    predict = training_run._told_of(lambda: iter([("a", 1), ("b", 2)]), lambda: seen.append("told"))
    for predicted in predict:
        seen += [predicted]
    assert seen == [("a", 1), "told", ("b", 2), "told"]
