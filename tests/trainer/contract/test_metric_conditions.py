"""Conditions on metrics: what they mean, and what is said of one that is none."""

import pytest

from trainer.contract.metric_conditions import ConditionError, parse

VALUES = {"loss": 0.5, "val_loss": 0.25, "top-5": 0.9, "broken": float("nan"), "_x.y": -2.0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("loss < 0.5", False),
        ("loss <= 0.5", True),
        ("loss > 0.5", False),
        ("loss>=.5", True),
        ("top-5 > 9e-1", False),
        ("top-5 > 8.9E-1", True),
        ("_x.y<-1.5", True),
        ("missing > 0", False),
        ("missing <= 0", False),
        ("broken > 0", False),
        ("broken <= 0", False),
        ("loss > 1 or val_loss < 0.3", True),
        ("loss > 0 and val_loss > 1", False),
        ("loss > 0 or loss > 0 and val_loss > 1", True),
        ("(loss > 0 or loss > 0) and val_loss > 1", False),
        ("(((loss > 0)))", True),
        (" loss\n>\t0 ", True),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert parse(text).holds(VALUES) is holds


def test_a_condition_knows_its_metrics() -> None:
    assert parse("b > 1 and (a < 2 or b < 0)").metrics == ("b", "a")


@pytest.mark.parametrize(
    ("text", "wrong", "expected"),
    [
        ("", "unexpected the end", "the name of a metric"),
        ("loss", "unexpected the end", "one of <"),
        ("loss >", "unexpected the end", "a number"),
        ("loss > 1 and", "unexpected the end", "the name of a metric"),
        ("loss == 1", "unexpected '=='", "one of <"),
        ("loss > 1 2", "unexpected '2'", "and, or, or the end"),
        ("loss > 1 && acc > 2", "unexpected '&&'", "and, or, or the end"),
        ("0.5 < loss", "unexpected '0.5'", "the name of a metric"),
        ("loss > val_loss", "unexpected 'val_loss'", "a number"),
        ("loss > 1e999", "unexpected '1e999'", "a number"),
        ("loss > 1.2.3", "unexpected '1.2.3'", "a number"),
        ("(loss > 1", "unexpected the end", "')'"),
        ("loss > 1)", "unexpected ')'", "and, or, or the end"),
        ("or > 1", "unexpected 'or'", "the name of a metric"),
        ("(" * 30 + "loss > 1" + ")" * 30, "too many parentheses", "at most 20"),
    ],
)
def test_what_is_no_condition_is_told(text: str, wrong: str, expected: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text)
    assert error.value.wrong == wrong
    assert error.value.expected.startswith(expected)
