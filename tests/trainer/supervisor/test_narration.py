"""What a person reads in a pod's log."""

from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    Committed,
    Ended,
    EpochFinished,
    Failed,
    Held,
    Message,
    Origin,
    Progress,
    Ready,
)
from trainer.supervisor.narration import Narration

FAILURE = Failed(1, 70, Origin.USER, "ValueError: x", "Traceback\n  model.py\nValueError: x\n", "model.py:3")

EPOCH_LINE = (
    "epoch 1/80  loss 0.5000  val_loss 0.2500  accuracy 0.9000  f 1.0000  learning_rate 0.001  "
    "1,234 examples/s  1.5 s"
)
GOING_ON = "going on as soon as all workers are ready"


def story(*told: tuple[float, Message]) -> list[str]:
    narration = Narration(80)
    return [line for now, message in told for line in narration.lines(message, now)]


def test_a_run_that_is_interrupted_once() -> None:
    metrics = {"val_loss": 0.25, "accuracy": 0.9, "loss": 0.5, "f": 1.0}
    lines = story(
        (0.0, AttemptStarted(1)),
        (1.0, Progress(0, 0, "building", 0)),
        (2.0, Ready(0, 2, 6858, "CPU")),
        (3.0, Progress(0, 0, "training", 0)),
        (4.0, Progress(0, 0, "training", 9)),
        (5.0, EpochFinished(0, metrics, 0.001, 1234.5, 1.5)),
        (6.0, Committed(24, 26, 1, 0.031)),
        (7.0, Held(1, 1, 3)),
        (8.0, AttemptEnded(1, "disruption", 1, "killed by SIGKILL")),
        (9.0, AttemptStarted(2)),
        (10.5, Progress(0, 1, "training", 3)),
        (11.0, EpochFinished(0, metrics, 0.001, 1234.5, 1.5)),
        (12.0, Ended(0, 0, "", {"stopped_by": "epochs", "weights_digest": "a" * 64})),
    )
    assert lines == [
        "attempt 1 started",
        "worker 0 ready: 6,858 weights, 2 replicas, CPU",
        "attempt 1: first new step: epoch 1, training step 1",
        EPOCH_LINE,
        "checkpoint at step 24, written in 0.03 s",
        f"attempt 1 ended (disruption): worker 1: killed by SIGKILL; {GOING_ON}",
        "attempt 2 started",
        "attempt 2: first new step 2.5 s after the interruption: epoch 2, training step 4",
        "worker 0 ends with exit code 0: stopped by epochs, weights aaaaaaaaaaaaaaaa",
    ]


def test_a_traceback_is_shown_once() -> None:
    lines = story(
        (0.0, AttemptEnded(1, "failure", 1, "ValueError: x", FAILURE)),
        (1.0, AttemptEnded(2, "failure", 1, "ValueError: x", FAILURE, retried=False)),
        (2.0, Ended(0, 70, "the same error ended two attempts", None, FAILURE)),
    )
    assert lines == [
        "Traceback",
        "  model.py",
        "ValueError: x",
        f"attempt 1 ended (failure): worker 1: ValueError: x; {GOING_ON}",
        "attempt 2 ended (failure): worker 1: ValueError: x",
        "worker 0 ends with exit code 70: the same error ended two attempts",
    ]


def test_the_wait_is_counted_from_the_first_of_several_interruptions() -> None:
    lines = story(
        (0.0, AttemptEnded(1, "disruption", 0, "a")),
        (3.0, AttemptEnded(2, "disruption", 1, "b")),
        (4.0, AttemptStarted(3)),
        (5.0, Progress(0, 0, "validating", 0)),
    )
    assert lines[-1] == "attempt 3: first new step 5.0 s after the interruption: epoch 1, validating step 1"
