"""A thousand workers, and five hundred runs: rendering, submitting, and looking at them on a real API server.

The pods want a node that no cluster has, so that nothing is measured but the launcher and the control plane.
Where submits are measured, a quota keeps the Jobs from making any: thousands of pods take minutes to delete.
"""

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison, alternating
from benchmarks.processes import ROOT, BenchmarkError, output, seconds
from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run
from launcher.kube import kind_of
from launcher.kube.parallel import AT_ONCE
from launcher.manifests import NEWEST, render
from launcher.manifests.text import to_bytes

_EXPERIMENT = "experiments/digits"
_IMAGE = "localhost/perdure-trainer:none"
_WORKERS = 1000
_RUNS = 500
_SETTINGS = (
    f"workers={_WORKERS}",
    f"training.global_batch_size={_WORKERS}",
    "pod.node_selector={perdure.dev/benchmark: nowhere}",
)
_RENDER_SECONDS = 1.0
_STATUS_SECONDS = 2.0
_SUBMIT = 1.5
_STATUS_CALLS = 4
_PODS_SECONDS = 900
_RAW_NOTE = (
    f"The raw loop sends the same bytes from {AT_ONCE} threads, and checks nothing; its time is the loop's "
    "alone. Ours is the whole command: start, preflight, the server's dry run, and all objects."
)
_KUBECTL_NOTE = (
    "`kubectl get` prints Jobs and pods of the namespace as JSON, which `list` and `status` look at, too."
)


def measure_rendering(pairs: int) -> list[Comparison]:
    """What needs no cluster, as processes of their own."""
    typed = [_EXPERIMENT, *_set(_SETTINGS)]
    render_command = _perdure("render", *typed, "--image", _IMAGE, "--run", "big")
    validate_command = _perdure("validate", *typed)

    def ours() -> float:
        return seconds(validate_command) + seconds(render_command)

    ours()  # Compiles what has never been imported.
    timings = alternating(pairs, ours, partial(seconds, (sys.executable, "-c", "pass")))
    mine, theirs = zip(*timings, strict=True)
    figure = f"`perdure validate` and `perdure render`, {_WORKERS} workers"
    return [Comparison(figure, mine, "`python -c pass`", theirs, limit_seconds=_RENDER_SECONDS)]


def measure_cluster(pairs: int) -> dict[str, Any]:
    """What needs the cluster of the kubeconfig, in namespaces of its own that are deleted afterwards."""
    version = json.loads(output("kubectl", "version", "--output=json"))["serverVersion"]["gitVersion"]
    found = [_submits(pairs)]
    rows = [("Verb", "Of", "Calls of the API", "Target")]
    # Deleted at the very end, so that the deletion disturbs nothing.
    with _namespace() as namespace, _namespace() as many:
        seconds(_submit(namespace))
        _await_pods(namespace, _WORKERS)
        of = f"a run of {_WORKERS} workers with {_WORKERS} pods"
        status = ["status", "big", "--namespace", namespace]
        found.append(_beside_kubectl(f"`perdure status` of {of}", status, namespace, pairs, _STATUS_SECONDS))
        found.append(_beside_kubectl(f"`perdure list`, {of}", ["list", "-n", namespace], namespace, pairs))
        calls = _calls(status)
        verdict = "met" if calls <= _STATUS_CALLS else "**missed**"
        rows.append(("status", of, str(calls), f"at most {_STATUS_CALLS}: {verdict}"))
        rows.append(("list", of, str(_calls(["list", "-n", namespace])), "none"))
        _apply_all(_runs(many))
        _await_pods(many, 2 * _RUNS)
        of = f"{_RUNS} runs of 2 workers, and their pods"
        found.append(_beside_kubectl(f"`perdure list`, {of}", ["list", "-n", many], many, pairs))
        status = ["status", "run-7", "-n", many]
        found.append(_beside_kubectl(f"`perdure status` of one of {of}", status, many, pairs))
        rows.append(("list", of, str(_calls(["list", "-n", many])), "none"))
        rows.append(("status", f"one of {of}", str(_calls(status)), "none"))
    where = f"Kubernetes {version}, API server, etcd and controllers on the same machine as the launcher."
    return {"comparisons": found, "tables": [rows], "notes": [where, _RAW_NOTE, _KUBECTL_NOTE]}


def _submits(pairs: int) -> Comparison:
    timings = list(alternating(pairs, _submit_once, _raw_once))
    ours, theirs = zip(*timings, strict=True)
    figure = f"`perdure submit`, {_WORKERS} workers"
    return Comparison(figure, ours, "a raw loop of parallel server-side applies", theirs, _SUBMIT)


def _submit_once() -> float:
    with _namespace(pods=0) as namespace:
        return seconds(_submit(namespace, "--ignore", "quota-too-small=no pods are wanted here"))


def _raw_once() -> float:
    with _namespace(pods=0) as namespace:
        return _apply_all(_lines(namespace, "big", _SETTINGS))


def _submit(namespace: str, *more: str) -> list[str]:
    typed = [_EXPERIMENT, *_set(_SETTINGS), "--image", _IMAGE, "--run", "big", "--namespace", namespace]
    return _perdure("submit", *typed, *more)


def _beside_kubectl(
    figure: str, arguments: Sequence[str], namespace: str, pairs: int, limit: float | None = None
) -> Comparison:
    ours = partial(seconds, _perdure(*arguments))
    kubectl = ("kubectl", "get", "jobs,pods", f"--namespace={namespace}", "--output=json")
    mine, theirs = zip(*alternating(pairs, ours, partial(seconds, kubectl)), strict=True)
    return Comparison(figure, mine, "`kubectl get jobs,pods -o json`", theirs, limit_seconds=limit)


def _calls(arguments: Sequence[str]) -> int:
    """How many requests a verb sends."""
    code = (
        "import sys\n"
        "from launcher.__main__ import main\n"
        "from launcher.kube.client import KubeClient\n"
        "send, calls = KubeClient._send, []\n"
        "KubeClient._send = lambda *a, **b: (calls.append(a), send(*a, **b))[1]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(len(calls), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(ended.stderr.split()[-1])


def _runs(namespace: str) -> list[str]:
    settings = ("workers=2", _SETTINGS[-1])
    return [line for number in range(_RUNS) for line in _lines(namespace, f"run-{number}", settings)]


def _lines(namespace: str, run: str, settings: Sequence[str]) -> list[str]:
    """Path and body of each object of a run, as JSON."""
    folder = ROOT / _EXPERIMENT
    experiment = load_cluster_experiment(folder, settings, _IMAGE, {})
    plan = plan_cluster_run(experiment, folder, name=run, namespace=namespace)
    return [
        json.dumps([kind_of(each).path(namespace, each["metadata"]["name"]), to_bytes(each).decode()])
        for each in render(plan, NEWEST)
    ]


def _apply_all(lines: Sequence[str]) -> float:
    """Sends them, and returns the seconds of the loop alone."""
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder, "applies"), Path(folder, "report")
        file.write_text("\n".join(lines))
        options = ("--threads", str(AT_ONCE), "--report", str(report))
        output(sys.executable, "-m", "benchmarks.raw_applies", str(file), *options)
        loop: float = json.loads(report.read_text())
        return loop


@contextmanager
def _namespace(pods: int | None = None) -> Iterator[str]:
    """A new namespace, deleted with all that is in it at the end.

    Args:
        pods: How many may be in it; then its deletion is waited for, since all is gone within seconds.
    """
    name = f"perdure-benchmark-{secrets.token_hex(3)}"
    output("kubectl", "create", "namespace", name)
    try:
        if pods is not None:
            output("kubectl", "create", "quota", "no-pods", f"--hard=pods={pods}", "--namespace", name)
        yield name
    finally:
        wait = str(pods is not None).lower()
        output("kubectl", "delete", "namespace", name, f"--wait={wait}", "--timeout=10m")


def _await_pods(namespace: str, count: int) -> None:
    deadline = time.monotonic() + _PODS_SECONDS
    while len(output("kubectl", "get", "pods", "-n", namespace, "--output=name").split()) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"there are no {count} pods after {_PODS_SECONDS} s")
        time.sleep(2)


def _set(settings: Sequence[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def _perdure(verb: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "launcher", verb, *arguments]
