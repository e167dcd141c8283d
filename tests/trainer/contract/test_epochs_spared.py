"""Which ends of a run have spared epochs, and which only cut it off."""

import pytest

from trainer.contract.stopping import BUDGET_REASON, epochs_spared


@pytest.mark.parametrize(
    ("stopped_by", "reason", "spared"),
    [
        ("early_stopping", "", 77),
        ("stopping", "val_loss was 3.5, > 3", 77),
        ("stopping", f"{BUDGET_REASON}120 s were used, of a budget of 100", 0),
        ("epochs", "", 0),
        ("deadline", "", 0),
        ("watchdog", "the loss was nan", 0),
        ("TerminateOnNaN", "", 0),
        ("Mine", "enough", 0),
    ],
)
def test_only_what_says_that_more_would_not_have_helped_spares_epochs(stopped_by, reason, spared):
    assert epochs_spared(stopped_by, reason, 3, 80) == spared


def test_no_epochs_are_spared_beyond_those_asked_for():
    assert epochs_spared("early_stopping", "", 80, 80) == 0
    # A run that was continued with fewer epochs than it has trained already.
    assert epochs_spared("early_stopping", "", 90, 80) == 0
