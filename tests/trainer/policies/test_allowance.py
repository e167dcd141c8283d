"""How often something may happen."""

from trainer.policies.allowance import Allowance


def test_some_may_come_at_once_and_then_one_every_so_many_seconds() -> None:
    allowance = Allowance(3, 60.0)
    assert [allowance.take(1000.0) for _ in range(5)] == [True, True, True, False, False]
    assert [allowance.take(now) for now in (1059.0, 1060.0, 1061.0, 1119.0, 1120.0)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_what_was_not_used_is_saved_up_only_so_far() -> None:
    allowance = Allowance(2, 10.0)
    assert [allowance.take(now) for now in (0.0, 1e6, 1e6, 1e6)] == [True, True, True, False]
