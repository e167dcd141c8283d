import io

from rich.console import Console

from launcher.live_view import LiveView, epoch_line
from launcher.restart_log import Place, Restart
from trainer.contract.messages import EpochFinished, Failed, Finished, Origin, Progress, Ready, Started

METRICS = {"accuracy": 0.9, "loss": 0.5, "lr_scale": 1.0, "val_accuracy": 0.8, "val_loss": 0.625}


def shown(messages, *, terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, soft_wrap=True)
    with LiveView(console, epochs=20, workers=2) as view:
        for message in messages:
            view.told(message)
        view.line(1, "a [bold]line[/bold] of output :smile: " + "x" * 200)
    return text.getvalue()


MESSAGES = [
    Started(0, 1),
    Started(1, 2),
    Ready(0, 2, 8954, "CPU"),
    Ready(1, 2, 8954, "CPU"),
    Progress(0, 0, "training", 3),
    EpochFinished(0, METRICS, 1e-3, 12345.6, 4.0),
    Progress(0, 1, "training", 1),
    EpochFinished(1, METRICS, 2e-4, 12345.6, 1.0),
    Finished(0, {}),
]


def test_an_epoch_in_one_line() -> None:
    line = epoch_line(EpochFinished(1, METRICS, 2e-4, 12345.6, 10.0), 20, [40.0, 10.0])
    assert line == (
        "epoch  2/20  loss 0.5000  val_loss 0.6250  accuracy 0.9000  val_accuracy 0.8000  lr_scale 1.0000  "
        "learning_rate 0.0002  12,346 examples/s  ETA 3:00"
    )


def test_an_epoch_without_validation_or_learning_rate() -> None:
    line = epoch_line(EpochFinished(9, {"loss": 0.5}, None, 10.0, 4000.0), 12, [4000.0] * 10)
    assert line == "epoch 10/12  loss 0.5000  10 examples/s  ETA 2:13:20"


def test_plain_lines_where_the_output_is_no_terminal() -> None:
    lines = shown(MESSAGES, terminal=False).splitlines()
    assert lines[0] == "training: 8,954 weights, 2 replicas, CPU"
    assert [line[:11] for line in lines[1:3]] == ["epoch  1/20", "epoch  2/20"]
    assert lines[3] == "[worker 1] a [bold]line[/bold] of output :smile: " + "x" * 200
    assert len(lines) == 4


def test_a_bar_below_the_lines_on_a_terminal() -> None:
    text = shown(MESSAGES, terminal=True)
    assert "epoch 2/20 training, step 2" in text or "━" in text
    assert "[worker 1] a [bold]line[/bold] of output :smile: " in text
    assert text.count("epoch  1/20  loss 0.5000") == 1


def test_the_curves_of_the_losses_on_a_terminal() -> None:
    epochs = [
        EpochFinished(epoch, {"loss": 2.0 - epoch / 10, "val_loss": 1.0}, 1e-3, 100.0, 1.0)
        for epoch in range(10)
    ]
    text = shown(MESSAGES[:4] + epochs, terminal=True)
    assert "loss      2 ██▇▆▅▅▄▃▂▁ 1.1" in text
    assert "val_loss  1 ▁▁▁▁▁▁▁▁▁▁ 1" in text
    assert "█" not in shown(MESSAGES[:4] + epochs, terminal=False)


def test_what_tensorflow_logs_for_itself_is_shown_only_on_demand() -> None:
    lines = [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795544095.565917    5442 port.cc:153] oneDNN custom operations are on.",
        "W0000 00:00:1795544095.565917    5442 port.cc:153] a warning",
        "In my own words",
    ]
    for chatter, expected in ((False, lines[2:]), (True, lines)):
        text = io.StringIO()
        with LiveView(Console(file=text, soft_wrap=True), 1, 1, chatter=chatter) as view:
            for line in lines:
                view.line(0, line)
        assert text.getvalue().splitlines() == [f"[worker 0] {line}" for line in expected]


def test_an_interruption_is_told_in_place_and_nothing_is_shown_twice() -> None:
    bug = Failed(1, 70, Origin.USER, "ValueError: mine", "Traceback: mine\n", "model.py:3")
    restart = Restart("ValueError: mine", 1, bug, True, Place(0, 1, 11))
    again = Restart("ValueError: mine", 1, bug, False, Place(0, 1, 11))
    text = io.StringIO()
    with LiveView(Console(file=text, soft_wrap=True), epochs=20, workers=2) as view:
        for message in MESSAGES[:6]:
            view.told(message)
        view.interrupted(restart)
        for message in MESSAGES[:6]:
            view.told(message)
        view.went_on(Restart("killed", 1, None, True, Place(0, 1, 11), Place(0, 1, 9), 2.34))
        view.interrupted(again)
        view.ended(bug)
        view.stopping()
    told = "interrupted: worker 1 at model.py:3: ValueError: mine, after epoch 1, training, step 12"
    assert text.getvalue().splitlines()[2:] == [
        "Traceback: mine",
        f"{told}; starting again",
        "going on at epoch 1, training, step 10: first new step after 2.3 s, 3 steps repeated",
        told,
        "stopping: all workers save at the same step; once more ends them at once",
    ]
