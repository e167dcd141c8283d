"""The machine and the versions that a figure was measured with."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.processes import ROOT

_DISTRIBUTIONS = ("tensorflow-cpu", "tensorflow", "keras", "tf-keras", "numpy")


def describe() -> dict[str, str]:
    """Name to value, in the order to show them in."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {"Python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "CPU": f"{_cpu_model()}, {_usable_cores()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "revision": _revision(),
    }


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in information.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _revision() -> str:
    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "trainer", "launcher", "benchmarks/*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (", with changes" if changed else "")
