"""Which ended runs `prune` takes, and what it leaves."""

from __future__ import annotations

import pytest

from launcher.pruning import Keep, prune, to_prune
from launcher.reasons import Reason, State
from launcher.run_list import ListedRun, list_runs
from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import START
from tests.launcher.cluster.samples import JOBS, RUN, last_word, plan, pod_of, submitted

HOUR = 3600


def listed(name: str, hours: float | None, state: State = State.SUCCEEDED, **more: object) -> ListedRun:
    """A run that ended so many hours ago."""
    ended = None if hours is None else START - hours * HOUR
    fields = {
        "experiment": "digits", "namespace": "team", "reason": Reason.FINISHED, "epoch": None, "step": None,
        "best": (), "restarts": None, "created": 0.0, "ttl": None, "owner_uid": "u", **more,
    }  # fmt: skip
    return ListedRun(run=name, state=state, ended=ended, **fields)  # type: ignore[arg-type]


RUNS = [
    listed("new", 1),
    listed("mid", 5, ttl=4 * HOUR),
    listed("old", 9, State.FAILED),
    listed("other", 9, experiment="hard"),
    listed("stopped", None, State.STOPPED),
    listed("running", None, State.RUNNING, ttl=1),
]


@pytest.mark.parametrize(
    ("keep", "chosen"),
    [
        (Keep(), ["mid"]),
        (Keep(seconds=2 * HOUR), ["old", "other", "mid"]),
        (Keep(newest=1), ["old", "mid"]),
        (Keep(newest=0), ["old", "other", "mid", "new"]),
        (Keep(seconds=6 * HOUR, newest=1), ["old"]),
    ],
)
def test_what_may_go(keep: Keep, chosen: list[str]) -> None:
    assert [run.run for run in to_prune(RUNS, keep, START)] == chosen


def test_a_run_of_that_name_made_since_is_left_alone() -> None:
    cluster = submitted()
    cluster.end_pod(pod_of(cluster, 0), 0, last_word())
    cluster.finish_job(RUN, 0, "Complete")
    (run,) = list_runs(cluster, START)
    for kind, name in list(cluster.objects):
        if kind != "Node":
            del cluster.objects[kind, name]
    submit(cluster, plan(), named=True)
    assert prune(cluster, run) == 0
    assert cluster.names_of("Job") == JOBS
    (again,) = list_runs(cluster, START)
    assert prune(cluster, again) == 6
