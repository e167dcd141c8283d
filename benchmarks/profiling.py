"""Where the training thread of `fit` spends its time, alone or as one worker of several."""

import argparse
import cProfile
import io
import json
import pstats
import tempfile
from pathlib import Path

from benchmarks import sides
from benchmarks.worker import workload_of
from benchmarks.workloads import WORKLOADS, Run
from trainer.distribution import create_strategy

_LINES = 25


def main() -> None:
    """Parses the command line, runs, reports the functions that took most, without those they call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=tuple(WORKLOADS))
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    workload = workload_of(arguments.workload)
    rows = workload.rows()
    profile = cProfile.Profile()
    with create_strategy().scope():
        # The first run pays what is paid once in a process.
        for train in (sides.perdure_fit, lambda run: profile.runcall(sides.perdure_fit, run)):
            with tempfile.TemporaryDirectory() as directory:
                train(Run(workload, *rows, Path(directory)))
    text = io.StringIO()
    statistics = pstats.Stats(profile, stream=text).strip_dirs()
    statistics.sort_stats("tottime").print_stats(_LINES)
    Path(arguments.report).write_text(json.dumps(text.getvalue().strip()))


if __name__ == "__main__":
    main()
