"""Every kill without effect has a reason that can be checked, or is shown up."""

import signal

import pytest

from launcher.restart_log import Place, Restart
from tests.chaos.__main__ import verdict
from tests.chaos.assault import Aim, Kill
from tests.chaos.table import HEADER, UNEXPLAINED, row, why_untouched

KILL, TERM, STOP = signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP


def kill(role: str, number: int, frozen: float = 0.0, **more) -> Kill:
    return Kill(1.0, Aim.ANY, role, 0, number, more.pop("phase", "training"), frozen, **more)


@pytest.mark.parametrize(
    ("untouched", "reason"),
    [
        (kill("standby", KILL), "a new standby takes its place"),
        (kill("standby", STOP, 5.0), "nobody needed it"),
        (kill("standby", TERM), "only supervisors act on SIGTERM"),
        (kill("training", TERM), "only supervisors act on SIGTERM"),
        (kill("training", STOP, 1.4), "it woke before that was noticed"),
        (kill("supervisor", STOP, 5.5), "it woke before that was noticed"),
        (kill("training", KILL, over=True), "training was over"),
        (kill("training", KILL), UNEXPLAINED),
        (kill("supervisor", TERM), UNEXPLAINED),
        (kill("supervisor", STOP, 6.5), UNEXPLAINED),
        (kill("training", STOP, 3.5), UNEXPLAINED),
    ],
)
def test_the_reason_why_a_kill_interrupted_nothing(untouched: Kill, reason: str) -> None:
    assert why_untouched(untouched) == reason


def test_steps_lost_are_counted_over_epochs_and_columns_stand_below_their_heads() -> None:
    # Step 4 of the fourth epoch had begun; training went on from step 17 of the third.
    restart = Restart("x", 0, resumed=Place(2, 1, 17), seconds=1.25, begun=Place(3, 1, 4))
    line = row(7, kill("training", KILL, restart=restart), 24)
    assert line.endswith("1.25 s  11 steps")
    assert line.index("1.25 s") + len("1.25 s") == HEADER.index("back after") + len("back after")
    assert line.index("SIGKILL") == HEADER.index("signal")


def test_what_was_killed_before_its_first_step_has_lost_none() -> None:
    restart = Restart("x", 0, resumed=Place(0, 1, 0), seconds=1.0)
    assert row(1, kill("training", KILL, restart=restart), 24).endswith(" 0 steps")
    unseen = Restart("x", 0, reached=Place(0, 1, 3), resumed=Place(0, 1, 0), seconds=1.0)
    assert "unknown" in row(1, kill("supervisor", KILL, restart=unseen), 24)


@pytest.mark.parametrize(
    ("phases", "failed", "code", "said"),
    [
        (["save"] * 3 + ["training"] * 9, 0, 0, "all runs equal"),
        (["epoch_end"] * 2 + ["training"] * 9, 0, 1, "TOO FEW"),
        (["training"] * 4, 0, 0, "all runs equal"),
        (["save"] * 12, 1, 1, "1 of 2 runs DIFFERENT"),
    ],
)
def test_the_verdict(phases: list[str], failed: int, code: int, said: str, capsys) -> None:
    made = [kill("standby", KILL, phase=phase) for phase in phases]
    assert verdict(made, failed, 2) == code
    assert said in capsys.readouterr().out


def test_a_kill_without_effect_and_reason_fails(capsys) -> None:
    assert verdict([kill("training", KILL)], 0, 1) == 1
    assert "without a reason" in capsys.readouterr().out
