"""A launcher with fake training processes: prints what a view is told as JSON lines, exits as the run did."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from launcher import local
from launcher.local_group import FROZEN_SECONDS
from launcher.local_ports import HeldPorts
from trainer.contract.messages import Progress, Started
from trainer.contract.training import Experiment

SUPERVISOR = Path(__file__).with_name("fake_supervisor.py")


class PrintingView:
    def say(self, **record) -> None:
        print(json.dumps(record), flush=True)

    def line(self, worker: int, text: str) -> None:
        self.say(line=text, worker=worker)

    def told(self, message) -> None:
        if isinstance(message, Started):
            self.say(started=message.pid, worker=message.worker)
        elif isinstance(message, Progress):
            self.say(step=message.epoch * 20 + message.step, worker=message.worker)

    def interrupted(self, restart) -> None:
        self.say(interrupted=restart.cause)

    def went_on(self, restart) -> None:
        self.say(went_on=restart.seconds)

    def stopping(self) -> None:
        self.say(stopping=True)


def main(directory: str, steps: str, *acts: str) -> int:
    training = {
        "model": "model.py:build",
        "data": "data.py:load",
        "epochs": 1,
        "global_batch_size": 60,
        "parameters": {"acts": list(acts), "steps": int(steps)},
    }
    restart = json.loads(os.environ.get("RESTART", "{}"))
    experiment = Experiment.model_validate(
        {"name": "fake", "spec": {"workers": len(acts), "training": training, "restart": restart}}
    )
    patience = float(os.environ.get("FROZEN_SECONDS", FROZEN_SECONDS))
    with HeldPorts(len(acts) + 1) as ports:
        leader, *workers = ports.addresses
        plan = local.LocalRun(
            experiment, directory, "a-run", directory, tuple(workers), leader, "digest", patience
        )
        outcome = local.run(plan, PrintingView(), command=[sys.executable, str(SUPERVISOR)])
    print(json.dumps({"outcome": asdict(outcome)}), flush=True)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
