import math

import pytest

from trainer.policies.best import Version, best_of, consider
from trainer.policies.direction import Direction
from trainer.policies.retention import to_prune


def kept(values, keep, direction=Direction.MIN):
    versions = ()
    for epoch, value in enumerate(values):
        versions = consider(versions, Version(epoch, value), direction, keep).kept
    return [version.epoch for version in versions]


@pytest.mark.parametrize(
    ("case", "values", "keep", "direction", "expected"),
    [
        ("the lowest of all", [3, 1, 2], 1, Direction.MIN, [1]),
        ("the highest of all", [3, 1, 2], 1, Direction.MAX, [0]),
        ("of equal ones the earlier", [2, 1, 1], 1, Direction.MIN, [1]),
        ("two best, best first", [3, 1, 2], 2, Direction.MIN, [1, 2]),
        ("fewer than asked for", [3, 1], 5, Direction.MIN, [1, 0]),
        ("equal ones in order of epoch", [1, 1, 1], 2, Direction.MIN, [0, 1]),
        ("NaN is never kept", [math.nan, 2, math.nan], 3, Direction.MIN, [1]),
        ("infinite is kept until there is a better one", [math.inf, 2], 1, Direction.MIN, [1]),
    ],
)
def test_kept_versions(case, values, keep, direction, expected):
    assert kept(values, keep, direction) == expected, case


@pytest.mark.parametrize(
    ("value", "is_kept", "is_new_best"), [(0.5, True, True), (1.5, True, False), (2.0, False, False)]
)
def test_a_candidate_beside_one_and_two(value, is_kept, is_new_best):
    decision = consider((Version(0, 1.0), Version(1, 2.0)), Version(2, value), Direction.MIN, keep=2)
    assert (decision.is_kept, decision.is_new_best) == (is_kept, is_new_best)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_best_of_some_are_those_kept_epoch_by_epoch(keep):
    values = [2, 1, 3, 1]
    versions = {Version(epoch, value) for epoch, value in enumerate(values)}
    assert [v.epoch for v in best_of(versions, Direction.MIN, keep)] == kept(values, keep)
    assert best_of([], Direction.MIN, keep) == ()


@pytest.mark.parametrize(
    ("case", "stored", "keep", "landed", "expected"),
    [
        ("what is not kept goes", ["a", "b", "c"], {"b"}, {"b"}, ("a", "c")),
        ("nothing goes before the kept one has landed", ["a"], {"b"}, set(), ()),
        ("nothing to do", ["a"], {"a"}, {"a"}, ()),
        ("nothing kept, everything goes", ["a"], set(), set(), ("a",)),
    ],
)
def test_pruning(case, stored, keep, landed, expected):
    assert to_prune(stored, keep, landed) == expected, case
