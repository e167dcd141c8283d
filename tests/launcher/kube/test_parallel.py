import threading

import pytest

from launcher.kube.parallel import AT_ONCE, in_parallel


@pytest.mark.parametrize("count", [0, 1, 2, 5 * AT_ONCE])
def test_results_are_in_the_order_of_the_items(count: int) -> None:
    assert in_parallel(lambda item: -item, range(count)) == [-item for item in range(count)]


def test_so_many_are_under_way_at_once() -> None:
    together = threading.Barrier(AT_ONCE)
    in_parallel(lambda _: together.wait(timeout=30), range(2 * AT_ONCE))


def test_after_an_error_none_begins_and_the_first_in_order_is_raised() -> None:
    together, begun = threading.Barrier(AT_ONCE), []

    def call(item: int) -> None:
        begun.append(item)
        together.wait(timeout=30)
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"^0$"):
        in_parallel(call, range(50 * AT_ONCE))
    assert len(begun) < 50 * AT_ONCE


def test_the_first_error_stops_the_rest_while_an_earlier_call_is_under_way() -> None:
    failed, begun = threading.Event(), []

    def call(item: int) -> None:
        begun.append(item)
        if item == 1:
            failed.set()
            raise ValueError(item)
        assert failed.wait(timeout=30)

    with pytest.raises(ValueError, match=r"^1$"):
        in_parallel(call, range(1000 * AT_ONCE))
    assert len(begun) < 1000 * AT_ONCE
