"""What the dashboards say of a run that has ended, and whose leader was in two pods."""

from pathlib import Path

import yaml

from tests.monitoring.promtool import needs_promtool, promtool
from tests.monitoring.queries import RULES, dashboard_queries

pytestmark = needs_promtool

# The first leader is lost after an hour, the second one an hour later; three hours after that somebody looks.
LOOKED_AT = "300m"
MINE = 'namespace="training", run="mine"'
FIRST, SECOND = (f'{MINE}, pod="{pod}"' for pod in "ab")


def two_pods(name: str, before: str, after: str, labels: str = "") -> list[dict[str, str]]:
    """Series of both pods, each with what it says for an hour."""
    more = f", {labels}" if labels else ""
    return [
        {"series": f"{name}{{{FIRST}{more}}}", "values": f"{before}x59 stale"},
        {"series": f"{name}{{{SECOND}{more}}}", "values": f"_x65 {after}x54 stale"},
    ]


SERIES = [
    *two_pods("perdure_run_state", "1", "1", 'state="training"'),
    *two_pods("perdure_run_state", "0", "0", 'state="waiting"'),
    *two_pods("perdure_run_state", "0", "0", 'state="starting"'),
    *two_pods("perdure_run_state", "0", "0", 'state="ended"'),
    *two_pods("perdure_run_info", "1", "1", 'experiment="digits", image="a"'),
    *two_pods("perdure_run_epochs", "80", "80"),
    *two_pods("perdure_run_epoch", "20", "67"),
    *two_pods("perdure_run_epochs_finished", "19", "67"),
    *two_pods("perdure_run_attempt", "1", "2"),
    *two_pods("perdure_run_metric", "1.5", "0.5", 'metric="val_loss"'),
    *two_pods("perdure_run_best", "1.25", "0.25", 'monitor="val_loss"'),
    *two_pods("perdure_run_best_epoch", "18", "59", 'monitor="val_loss"'),
    *two_pods("perdure_run_restarts", "0", "1", 'reason="disruption"'),
    *two_pods("perdure_run_restarts", "0", "0", 'reason="failure"'),
    *two_pods("perdure_run_gpu_seconds_used", "3600", "14400"),
    *two_pods("perdure_run_gpu_seconds_saved", "0", "1800"),
    *two_pods("perdure_worker_spent_seconds_total", "0+45", "0+15", 'worker="0", phase="useful"'),
    *two_pods("perdure_worker_spent_seconds_total", "0+15", "0+45", 'worker="0", phase="waiting"'),
]

SAID = [
    ("perdure-run", "State", 0, 'state="training"', 1),
    ("perdure-run", "Progress", 0, "", 0.8375),
    ("perdure-run", "Epoch", 0, "", 67),
    ("perdure-run", "Epoch", 1, "", 80),
    ("perdure-run", "Restarts", 0, "", 1),
    ("perdure-run", "Restarts", 1, "", 2),
    ("perdure-run", "GPU hours used", 0, "", 4),
    ("perdure-run", "GPU hours saved", 0, "", 0.5),
    ("perdure-run", "Best values", 0, 'monitor="val_loss"', 0.25),
    ("perdure-run", "Best values", 1, 'monitor="val_loss"', 59),
    ("perdure-namespace", "Runs", 0, 'state="training"', 1),
    ("perdure-namespace", "Runs", 1, 'experiment="digits"', 1),
    ("perdure-namespace", "Runs", 2, "", 67),
    ("perdure-namespace", "Runs", 3, "", 80),
    ("perdure-namespace", "Runs", 4, 'metric="val_loss"', 0.5),
    ("perdure-namespace", "Runs", 5, 'monitor="val_loss"', 0.25),
    ("perdure-namespace", "Runs", 8, "", 1),
    ("perdure-namespace", "Runs", 9, "", 4),
    ("perdure-namespace", "Runs", 10, "", (300 - 119) * 60),
]


def expression(dashboard: str, place: str, number: int) -> str:
    """The query of that number of a panel."""
    found = [query for query in dashboard_queries() if (query.dashboard, query.place) == (dashboard, place)]
    return found[number].expression


def hold(tmp_path: Path, series: list[dict[str, str]], questions: list[dict[str, object]]) -> None:
    """Asks at their times, and compares the answers."""
    case = {"interval": "1m", "input_series": series, "promql_expr_test": questions}
    file = tmp_path / "test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}, width=1000)
    )
    promtool("test", "rules", str(file))


def said(asked: str, labels: str, value: float) -> dict[str, object]:
    """A question, and its one answer."""
    # What was recorded keeps its name, unless something is computed from it.
    name = (
        asked.removeprefix("last_over_time(").partition("{")[0] if asked.startswith("last_over_time(") else ""
    )
    answer = {"labels": f"{name}{{{', '.join(filter(None, (MINE, labels)))}}}", "value": value}
    return {"expr": asked, "eval_time": LOOKED_AT, "exp_samples": [answer]}


def test_what_is_said_is_what_the_last_leader_said(tmp_path: Path) -> None:
    questions = [said(expression(*where), labels, value) for *where, labels, value in SAID]
    hold(tmp_path, SERIES, questions)


def test_what_is_about_now_is_not_said_of_an_ended_run(tmp_path: Path) -> None:
    places = ("Nothing done for", "Last checkpoint", "Time left, at most")
    asked = [expression("perdure-run", place, 0) for place in places]
    hold(tmp_path, SERIES, [{"expr": each, "eval_time": LOOKED_AT, "exp_samples": []} for each in asked])


def test_the_time_left_goes_by_the_steps_done(tmp_path: Path) -> None:
    numbers = {"epochs": 10, "epochs_finished": 4, "epoch_seconds": 60, "step": 25, "steps": 100}
    series = [
        {"series": f"perdure_run_{name}{{{MINE}}}", "values": f"{value}x9"} for name, value in numbers.items()
    ]
    asked = expression("perdure-run", "Time left, at most", 0)
    hold(
        tmp_path,
        series,
        [{"expr": asked, "eval_time": "5m", "exp_samples": [{"labels": f"{{{MINE}}}", "value": 5.75 * 60}]}],
    )


def test_a_restart_is_marked_once_whoever_tells_of_it(tmp_path: Path) -> None:
    asked = expression("perdure-run", "Started again", 0)
    series = [
        # Two in the first leader's time; a third one took it along, and is told six minutes later.
        {"series": f'perdure_run_restarts{{{FIRST}, reason="disruption"}}', "values": "0x9 1x9 2x9 stale"},
        {"series": f'perdure_run_restarts{{{SECOND}, reason="disruption"}}', "values": "_x36 3x30"},
        {"series": f'perdure_run_restarts{{{FIRST}, reason="failure"}}', "values": "0x29 stale"},
        {"series": f'perdure_run_restarts{{{SECOND}, reason="failure"}}', "values": "_x36 0x30"},
    ]
    marks = {10: 1, 20: 2, 36: 3}
    questions = [
        {
            "expr": asked,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{{MINE}, reason="disruption"}}', "value": marks[minute]}]
            if minute in marks
            else [],
        }
        for minute in range(60)
    ]
    hold(tmp_path, series, questions)
