import pytest

from trainer.policies.spending import Holding, Spending, gpu_seconds_saved, over_budget


@pytest.mark.parametrize(
    ("epoch_seconds", "left", "expected"),
    [
        ([60.0, 10.0, 12.0, 11.0], 5, 4 * 5 * 11.0),
        ([60.0, 10.0, 10.0, 900.0], 5, 4 * 5 * 10.0),  # a restart within an epoch would not have come again
        ([60.0], 5, 4 * 5 * 60.0),
        ([], 5, None),
        ([60.0, 10.0], 0, 0.0),
        ([], 0, 0.0),
        ([60.0, 10.0], -3, 0.0),
    ],
)
def test_what_epochs_that_were_not_needed_would_have_taken(epoch_seconds, left, expected):
    assert gpu_seconds_saved(4, epoch_seconds, left) == expected


def test_on_cpus_no_gpu_seconds_are_saved():
    assert gpu_seconds_saved(0, [60.0, 10.0], 5) == 0.0


@pytest.mark.parametrize(
    ("spent", "max_seconds", "max_gpu_hours", "why"),
    [
        (Spending(99.0, 8), 100.0, None, None),
        (Spending(100.0, 8), 100.0, None, "100 s were used, of a budget of 100"),
        (Spending(449.0, 8), None, 1.0, None),
        (Spending(450.0, 8), None, 1.0, "1 GPU-hours were used, of a budget of 1"),
        (Spending(450.0, 8), 100.0, 1.0, "450 s were used, of a budget of 100"),
        (Spending(1e9, 8), None, None, None),
        (Spending(1e9, 0), None, 1.0, None),
    ],
)
def test_budgets(spent, max_seconds, max_gpu_hours, why):
    assert over_budget(spent, max_seconds, max_gpu_hours) == why


def test_gpus_are_held_while_nothing_runs():
    assert Spending(100.0, 4).gpu_seconds == 400.0
    assert Spending(100.0, 4, held=150.0).gpu_seconds == 600.0
    assert Holding(4, since=50.0).gpu_seconds(200.0) == 600.0
    assert Holding(0, since=50.0).gpu_seconds(200.0) == 0.0
    held = Spending(100.0, 4, held=3600.0)
    assert over_budget(held, 101.0, 3.0) == "4 GPU-hours were used, of a budget of 3"
