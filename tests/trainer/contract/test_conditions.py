"""Conditions as text: what they mean, written as they are read, and every mistake with its column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.contract.conditions import (
    DEEPEST_NESTING,
    LONGEST_CONDITION,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    ConditionError,
    Mistake,
    Operator,
    Plateau,
    all_of,
    any_of,
    metrics,
    parse,
)

A = Comparison("a", Operator.ABOVE, 1)
B = Comparison("b", Operator.AT_MOST, -0.5)
C = Plateau("val_f1", 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", A),
        ("a>1", A),
        ("  b <= -5e-1 ", B),
        ("a < .5", Comparison("a", Operator.BELOW, 0.5)),
        ("a >= 2.", Comparison("a", Operator.AT_LEAST, 2)),
        ("val_f1 plateaus 3", C),
        (
            "val_f1 plateaus 5 baseline 0.6 max within 1e-3",
            Plateau("val_f1", 5, "max", min_delta=0.001, baseline=0.6),
        ),
        ("a > 1 and b <= -0.5", AllOf((A, B))),
        ("a > 1 or b <= -0.5 and val_f1 plateaus 3", AnyOf((A, AllOf((B, C))))),
        ("(a > 1 or b <= -0.5) and val_f1 plateaus 3", AllOf((AnyOf((A, B)), C))),
        ("((a > 1))", A),
        ("a > 1 or (b <= -0.5 or val_f1 plateaus 3)", AnyOf((A, B, C))),
        ("top.5-of_10 > 0", Comparison("top.5-of_10", Operator.ABOVE, 0)),
        ("gradient_norm/dense/kernel>9", Comparison("gradient_norm/dense/kernel", Operator.ABOVE, 9)),
        ("gradient_norm/a.b plateaus 3", Plateau("gradient_norm/a.b", 3)),
    ],
)
def test_what_is_read(text: str, expected: Condition) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", [1]),
        ("a >", [4]),
        ("> 3", [1]),
        ("a 3", [3]),
        ("a == 3", [3]),
        ("a = 3 and b ! 4", [3, 13]),
        ("a > b", [5]),
        ("a > nan or a > inf", [5, 16]),
        ("a > 3x", [5]),
        ("a > 1e999", [5]),
        ("1 < a", [1]),
        ("a > 1 b > 2", [7]),
        ("a > 1 b > 2 and c", [7, 18]),
        ("a > 1 and", [10]),
        ("and a > 1", [1]),
        ("a > 1 and and b > 1", [11]),
        ("()", [2]),
        ("(a > 1", [7]),
        ("a > 1)", [6]),
        ("a > 1))", [6, 7]),
        ("a plateaus", [11]),
        ("a plateaus 0", [12]),
        ("a plateaus 1.5", [12]),
        ("a plateaus 99999999999", [12]),
        ("a plateaus 3 min max", [18]),
        ("a plateaus 3 within", [20]),
        ("a plateaus 3 within -1", [21]),
        ("a plateaus 3 up", [14]),
        ("a plateau 5 and b >= x or (c < 3", [3, 22, 33]),
        ("A > 1 AND b > 1", [7]),
        ("plateaus plateaus 3", [1]),
        ("a > 1; b > 2", [6]),
        ("é > 1", [1]),
    ],
)
def test_every_mistake_has_its_column(text: str, columns: list[int]) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert [mistake.column for mistake in caught.value.mistakes] == columns
    assert all(mistake.wrong and mistake.expected for mistake in caught.value.mistakes)


def test_a_mistake_says_what_stands_there_and_what_should() -> None:
    with pytest.raises(
        ConditionError, match=r"column 10: unexpected 'plateau' behind 'val_loss', expected one of"
    ):
        parse("val_loss plateau 5")


def test_there_are_limits() -> None:
    with pytest.raises(ConditionError, match="too long"):
        parse("a > 1" + " " * LONGEST_CONDITION)
    deep = "(" * DEEPEST_NESTING + "a > 1" + ")" * DEEPEST_NESTING
    assert parse(deep) == A
    with pytest.raises(ConditionError, match="too many parentheses"):
        parse(f"({deep})")
    with pytest.raises(ConditionError, match="too many parentheses"):
        parse("(" * LONGEST_CONDITION)


numbers = st.floats(allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,9}", fullmatch=True).filter(
    lambda name: name not in {"and", "or", "plateaus", "min", "max", "within", "baseline"}
)
leaves: st.SearchStrategy[Condition] = st.builds(
    Comparison, names, st.sampled_from(Operator), numbers
) | st.builds(
    Plateau,
    names,
    st.integers(1, 2**31 - 1),
    st.sampled_from(["auto", "min", "max"]),
    st.floats(0, allow_nan=False, allow_infinity=False),
    st.none() | numbers,
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(all_of)
        | st.lists(inner, min_size=1, max_size=3).map(any_of)
    ),
    max_leaves=6,
)


@given(conditions)
def test_what_is_written_is_read_as_the_same(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@given(st.text(alphabet="ab()<>=.1 -eé\n", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_condition_or_has_mistakes_within_it(text: str) -> None:
    condition, mistakes = attempt(text)
    if condition is not None:
        assert parse(str(condition)) == condition
    else:
        assert mistakes
        assert all(1 <= mistake.column <= len(text) + 1 for mistake in mistakes)


def attempt(text: str) -> tuple[Condition | None, tuple[Mistake, ...]]:
    try:
        return parse(text), ()
    except ConditionError as error:
        return None, error.mistakes


def test_metrics_come_once_each() -> None:
    assert metrics(parse("b > 1 and (a > 1 or b plateaus 3)")) == ("b", "a")


@pytest.mark.parametrize("join", [all_of, any_of])
def test_no_conditions_cannot_be_joined(join) -> None:  # type: ignore[no-untyped-def]
    assert join([A]) == A
    with pytest.raises(ValueError, match="at least one"):
        join([])
