"""Large answers are read as small ones are, and leave the collector of cycles as it was."""

import gc
import json
import weakref
from collections.abc import Iterator

import pytest

from launcher.kube.decoding import LARGE_BYTES, decoded

SMALL = {"items": [{"name": "a", "labels": {}}]}
LARGE = {"items": [{"name": f"pod-{number}", "labels": {"x": ["y"]}} for number in range(LARGE_BYTES // 30)]}


@pytest.fixture(params=[True, False], ids=["collects", "does not collect"])
def collects(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "large"])
def test_an_answer_is_read_and_the_collector_left_as_it_was(value: object, collects: bool) -> None:
    assert decoded(json.dumps(value).encode()) == value
    assert gc.isenabled() is collects


def test_half_an_answer_is_refused_and_the_collector_left_as_it_was(collects: bool) -> None:
    content = json.dumps(LARGE).encode()
    with pytest.raises(ValueError, match="Unterminated"):
        decoded(content[: LARGE_BYTES + 1])
    assert gc.isenabled() is collects


def test_what_was_read_is_collected_when_it_becomes_garbage() -> None:
    class Watched(dict[str, object]):
        """Can be part of a cycle."""

    gone: list[str] = []
    watched = Watched()
    watched["itself"] = watched
    watched["answer"] = decoded(json.dumps(LARGE).encode())
    weakref.finalize(watched, gone.append, "gone")
    del watched
    gc.collect()
    assert gone == ["gone"]
