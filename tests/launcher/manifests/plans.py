"""Plans of the experiments that the golden files show, and of variations of them."""

import json
from pathlib import Path
from typing import Any

from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run
from launcher.manifests import KubeVersion, RunPlan, render

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "experiments" / "digits"
EVERYTHING = ROOT / "tests" / "fixtures" / "experiments" / "everything"
OLD, NEW = KubeVersion(1, 34), KubeVersion(1, 37)


def plan(folder: Path = DIGITS, name: str = "a-run", **settings: Any) -> RunPlan:
    """The plan of a run; a setting's key has `__` for its dots."""
    given = [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items()]
    # Named here, as the default has the version of the package in it.
    environment = {"PERDURE_IMAGE": "registry.example/perdure-trainer:golden"}
    experiment = load_cluster_experiment(folder, given, None, environment)
    return plan_cluster_run(experiment, folder, name=name, namespace="team")


def rendered(folder: Path = DIGITS, server: KubeVersion = NEW, **settings: Any) -> list[dict[str, Any]]:
    return render(plan(folder, **settings), server)


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def jobs(folder: Path = DIGITS, server: KubeVersion = NEW, **settings: Any) -> dict[int, dict[str, Any]]:
    """Jobs by worker."""
    found = of_kind(rendered(folder, server, **settings), "Job")
    return {int(job["metadata"]["labels"]["perdure.dev/worker"]): job for job in found}


def pod(folder: Path = DIGITS, worker: int = 0, **settings: Any) -> dict[str, Any]:
    """The pod spec of one worker."""
    return jobs(folder, **settings)[worker]["spec"]["template"]["spec"]


def container(folder: Path = DIGITS, worker: int = 0, **settings: Any) -> dict[str, Any]:
    return pod(folder, worker, **settings)["containers"][0]


def environment(folder: Path = DIGITS, worker: int = 0, **settings: Any) -> dict[str, Any]:
    """Variables by name: their text, or where they come from."""
    entries = container(folder, worker, **settings)["env"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}
