"""What a run tells of itself can be read back, and fits where it has to fit."""

import pytest

from trainer.contract.progress import LONGEST_LAST_WORD, Best, LastWord, RunProgress, RunState

PROGRESS = RunProgress(
    RunState.TRAINING, attempt=3, epoch=4, epochs=80, phase="training", step=7, steps=24,
    best=(Best("val_loss", 0.25, 3),), restarts=2, reason="r", metrics={"loss": 0.5}, missing=(1,), time=1.5,
)  # fmt: skip


def test_progress_is_read_back_from_its_line() -> None:
    assert RunProgress.from_line(PROGRESS.to_line()) == PROGRESS
    # As with `kubectl logs --timestamps`.
    assert RunProgress.from_line("2026-11-24T10:00:00Z " + PROGRESS.to_line()) == PROGRESS
    assert "\n" not in PROGRESS.to_line()


@pytest.mark.parametrize("line", ["", "epoch 1", "perdure-progress ", 'perdure-progress {"state": "tra'])
def test_other_lines_are_no_progress(line: str) -> None:
    assert RunProgress.from_line(line) is None


def test_fields_of_a_later_version_are_ignored() -> None:
    line = PROGRESS.to_line().replace('{"state"', '{"later": 1, "state"', 1)
    assert RunProgress.from_line(line) == PROGRESS


def test_a_last_word_is_read_back() -> None:
    word = LastWord(
        1, 70, "ValueError: x", 2, 3, 80, 7, (Best("val_loss", 0.5, 2),), 1, "d" * 64, "epochs", "t"
    )
    assert LastWord.from_message(word.to_message().decode()) == word
    assert LastWord.from_message("2026 some log line") is None


@pytest.mark.parametrize("character", ["x", "\n", "é", "\U0001f600"])
def test_a_long_traceback_keeps_its_end_within_what_kubernetes_keeps(character: str) -> None:
    traceback = character * 20000 + "ValueError: the cause"
    word = LastWord(0, 70, character * 500, best=(Best("m" * 100, 0.1, 1),) * 30, traceback=traceback)
    data = word.to_message()
    assert len(data) <= LONGEST_LAST_WORD
    read = LastWord.from_message(data.decode())
    assert read is not None
    assert read.traceback.endswith("ValueError: the cause")
    assert len(read.traceback) > 50


def test_a_long_reason_alone_is_cut_too() -> None:
    data = LastWord(0, 64, "\U0001f600" * 5000).to_message()
    assert len(data) <= LONGEST_LAST_WORD
    assert LastWord.from_message(data.decode()) is not None
