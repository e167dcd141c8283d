"""A launcher with fake workers: prints what a view is told as JSON lines, exits as the run did."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from launcher import local
from launcher.local_ports import HeldPorts
from trainer.contract.messages import Started
from trainer.contract.training import Experiment

WORKER = Path(__file__).with_name("fake_worker.py")


class PrintingView:
    def line(self, worker: int, text: str) -> None:
        print(json.dumps({"line": text, "worker": worker}), flush=True)

    def told(self, message) -> None:
        if isinstance(message, Started):
            print(json.dumps({"started": message.pid, "worker": message.worker}), flush=True)


def main(acts: list[str]) -> int:
    training = {
        "model": "model.py:build",
        "data": "data.py:load",
        "epochs": 1,
        "global_batch_size": 60,
        "parameters": {"acts": acts},
    }
    experiment = Experiment.model_validate(
        {"name": "fake", "spec": {"workers": len(acts), "training": training}}
    )
    with HeldPorts(len(acts)) as ports:
        folder = tempfile.gettempdir()
        plan = local.LocalRun(experiment, folder, "a-run", f"{folder}/a-run", ports.addresses)
        outcome = local.run(plan, PrintingView(), command=[sys.executable, str(WORKER)])
    print(json.dumps({"outcome": asdict(outcome)}), flush=True)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
