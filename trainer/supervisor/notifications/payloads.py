"""What is sent: the body that each kind of receiver takes."""

from typing import Any

from trainer.contract import plain_json
from trainer.supervisor.notifications.notification import Notification

_SLACK_ICONS = {"failure": ":x:", "stall": ":hourglass:", "restart": ":warning:", "end": ":white_check_mark:"}


def body(to: str, notification: Notification, run: str, experiment: str, left_out: int) -> bytes:
    """The body of the POST, as JSON.

    Args:
        to: As in `NotificationSpec`.
        notification: What is told.
        run: Name of the run.
        experiment: Name of the experiment.
        left_out: How many before it this channel was not told of, since the last that it was told.
    """
    if to == "slack":
        return plain_json.dumps({"text": _slack_text(notification, run, left_out)}).encode()
    told: dict[str, Any] = {
        "version": 1,
        "id": f"{run}/{notification.key}",
        "run": run,
        "experiment": experiment,
        "occasion": notification.occasion,
        "text": notification.text,
        "time": notification.time,
        "attempt": notification.attempt,
        "epoch": notification.epoch,
        "worker": notification.worker,
        "condition": notification.condition,
        "metrics": notification.metrics,
        "left_out": left_out,
    }
    return plain_json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def _slack_text(notification: Notification, run: str, left_out: int) -> str:
    icon = _SLACK_ICONS.get(notification.occasion, ":information_source:")
    more = f" ({left_out} messages before this one were left out)" if left_out else ""
    return f"{icon} *{_escaped(run)}*: {_escaped(notification.text)}{more}"


def _escaped(text: str) -> str:
    """Slack reads these three as its own; docs.slack.dev, Formatting message text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
