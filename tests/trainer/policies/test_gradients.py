import math

import pytest

from trainer.policies.gradients import (
    GradientState,
    Mean,
    Weight,
    dead_share,
    observe_norm,
    observe_weights,
    update_ratio,
)


def test_means_leave_out_what_is_not_finite():
    state = GradientState()
    for norm in (3.0, math.nan, math.inf, 1.0):
        state = observe_norm(state, norm)
    assert (state.norm.value, state.norm.largest, state.norm.count) == (2.0, 3.0, 2)
    assert math.isnan(Mean().value)


def test_the_ratio_is_of_the_norms_over_all_weights():
    weights = [Weight(1.0, 3.0, 30.0), Weight(1.0, 4.0, 40.0)]
    assert update_ratio(weights) == pytest.approx(5 / 50)
    assert math.isnan(update_ratio([Weight(1.0, 1.0, 0.0)]))


def test_units_are_counted_over_all_weights_that_have_them():
    assert dead_share([Weight(1, 1, 1, 2, 8), Weight(1, 1, 1, 0, 2), Weight(1, 1, 1)]) == 0.2
    assert dead_share([Weight(1, 1, 1)]) is None


def test_layers_are_kept_only_where_asked_for():
    weights = {"a": Weight(2.0, 1.0, 1.0, 1, 2)}
    state = observe_weights(GradientState(), weights, per_layer=False)
    assert (state.layers, state.dead.value) == ({}, 0.5)
    for gradient in (2.0, 4.0):
        state = observe_weights(state, {"a": Weight(gradient, 1.0, 1.0)}, per_layer=True)
    assert state.layers["a"].value == 3.0
    assert state.dead.value == 0.5
