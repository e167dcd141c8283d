import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.contract import link_messages as link
from trainer.contract.messages import (
    Action,
    Assignment,
    AttemptEnded,
    Ended,
    EpochFinished,
    Failed,
    Finished,
    Held,
    ImportAhead,
    Imported,
    ImportedAhead,
    Leave,
    LeftOff,
    LibraryModule,
    LineBuffer,
    Origin,
    Prepare,
    Progress,
    Ready,
    Release,
    Save,
    Started,
    Supervise,
    decode,
    encode,
)

MESSAGES = [
    Assignment("/folder", {"name": "digits", "spec": {"workers": 2}}, "run", "/runs/digits/run", 1, 2),
    Leave(),
    Started(1, 4711),
    Ready(0, 4, 8_954, "GPU x 2"),
    Progress(1, 3, "training", 17),
    EpochFinished(3, {"loss": 0.5, "val_loss": 0.25}, 1e-3, 1234.5, 0.75),
    EpochFinished(3, {}, None, 0.0, 0.75),
    Finished(1),
    Finished(0, {"status": "finished", "best": [{"value": 0.5}]}),
    Failed(1, 70, Origin.USER, "ValueError: ä\n", "Traceback:\n  line\n", "model.py:12"),
    Assignment("/f", {}, "run", "/runs/run", 1, 2, attempt=3, addresses=("a:1", "b:2"), resume=True),
    Prepare(2),
    ImportAhead((LibraryModule("sklearn", ("/lib/sklearn/__init__.py", "/lib/sklearn")),), 42),
    ImportedAhead(4711, ("the environment",)),
    Imported((LibraryModule("zlib", ("built-in",)),)),
    LeftOff(1, 3, "training", 17),
    Save(),
    Held(3, 1, 17),
    Release(3, 1, 17, Action.STOP),
    Supervise("/f", {"spec": {}}, "run", "/runs/run", 0, 2, "digest", "127.0.0.1:1"),
    AttemptEnded(1, "failure", 1, "ValueError", Failed(1, 70, Origin.USER, "ValueError"), retried=False),
    Ended(0, 0, result={"best": []}),
]

LINK_MESSAGES = [
    link.Hello("run", 1, "digest", 3),
    link.MemberReady(3, "127.0.0.1:5"),
    link.StartAttempt(4, ("127.0.0.1:5", "127.0.0.1:6")),
    link.MemberProgress(4, Progress(1, 0, "training", 3, 4, "training")),
    link.Exited(4, None, 9, Failed(1, 1, Origin.PEER, "lost"), "frozen"),
    link.Request(link.Wish.LEAVE, 10.0),
    link.RunEnded(70, "the same bug"),
    Release(3, 1, 17, Action.SAVE),
]


@pytest.mark.parametrize("message", LINK_MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_written_to_a_link_is_read_back(message) -> None:
    assert link.decode_link(encode(message).rstrip(b"\n")) == message


def test_what_is_no_message_of_a_link_is_refused() -> None:
    with pytest.raises(ValueError, match="not a message"):
        link.decode_link(encode(Prepare(2)))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_written_is_read_back(message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line.rstrip(b"\n")) == message


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert decode(b'{"message": "Started", "worker": 1, "pid": 2, "colour": "red"}') == Started(1, 2)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"3", b'{"worker": 1}', b'{"message": "Other"}', b'{"message": "Started"}', b"\xff"],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        decode(line)


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_are_whole_however_their_bytes_arrive(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    buffer = LineBuffer()
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.feed(stream[:size])
        stream = stream[size:]
    assert found == lines
    assert buffer.rest == b"rest"
