"""What a supervisor in a pod is to do: read from the variables and files that the manifests give it."""

import ipaddress
import json
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.contract import pod
from trainer.contract.messages import Supervise
from trainer.contract.training import Experiment, ExperimentDocument
from trainer.storage import UnsupportedStoreError, open_store
from trainer.threads import thread_count

_JITTER = 0.25


class PodError(Exception):
    """The pod does not say what to do.

    Attributes:
        problems: Everything that is missing or wrong: what, the value found, and what is expected.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def below(root: Path, path: str) -> Path:
    """A path of the pod's contract; outside of a pod below another root."""
    return root / path.lstrip("/")


def read_pod(
    environment: Mapping[str, str],
    root: Path = Path("/"),
    draw: Callable[[], float] = random.random,
) -> Supervise:
    """Reads everything, and tells everything that is wrong at once.

    Args:
        environment: The container's variables.
        root: What the contract's paths lie below.
        draw: Gives a number in [0, 1): two groups that each hold half of the places give them up in turn.

    Raises:
        PodError: Something is missing or wrong.
    """
    reader = _Reader(environment)
    run, digest = reader.text(pod.RUN), reader.text(pod.DIGEST)
    worker = reader.number(pod.WORKER, "a whole number from 0", lambda n: n >= 0 and n == int(n))
    leader = reader.checked(pod.LEADER, "host:port, such as digits-leader:7460", _is_endpoint)
    directory = reader.checked(pod.RUN_DIRECTORY, "a URL that this version can store in", _can_store)
    own = reader.checked(pod.POD_IP, "an IP address", _is_address)
    cpus = reader.number(pod.CPUS, "a whole number from 1", lambda n: n >= 1 and n == int(n))
    grace = reader.number(pod.GRACE, "seconds above 0", lambda n: 0 < n < math.inf)
    folder = below(root, pod.CODE_FOLDER)
    if not folder.is_dir():
        reader.problems.append(f"{folder}: no such folder; expected the experiment's code there")
    experiment = _read_experiment(below(root, pod.EXPERIMENT_FILE), reader.problems)
    if experiment is not None and worker >= experiment.spec.workers:
        workers = experiment.spec.workers
        reader.problems.append(f"{pod.WORKER}={worker:g}: the experiment has workers 0 to {workers - 1}")
    if reader.problems or experiment is None:
        raise PodError(reader.problems)
    spec = experiment.spec
    return Supervise(
        folder=str(folder),
        experiment=experiment.model_dump(mode="json"),
        run=run,
        run_directory=directory,
        worker=int(worker),
        workers=spec.workers,
        digest=digest,
        leader=leader,
        listen=f"[{own}]:{pod.LINK_PORT}" if ":" in own else f"{own}:{pod.LINK_PORT}",
        host=own,
        grace=pod.seconds_to_save(grace),
        group_wait=float(spec.restart.group_wait) * (1 + _JITTER * (2 * draw() - 1)),
        max_failures=spec.restart.max_failures,
        threads=thread_count(spec.training.threads, int(cpus), workers=1),
        deadline=spec.deadline,
        gpus=spec.pod.resources.gpu,
        image=environment.get(pod.IMAGE, ""),
        metrics=spec.metrics.enabled,
        linger=spec.metrics.linger if spec.metrics.enabled else 0,
    )


class _Reader:
    """Reads variables, and keeps what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return self.checked(name, "a text that is not empty", bool)

    def checked(self, name: str, expected: str, fits: Callable[[str], bool]) -> str:
        found = self._environment.get(name, "")
        if not found:
            self.problems.append(f"{name} is not set: expected {expected}")
        elif not fits(found):
            self.problems.append(f"{name}={found!r}: expected {expected}")
        return found

    def number(self, name: str, expected: str, fits: Callable[[float], bool]) -> float:
        def number_fits(value: str) -> bool:
            try:
                return fits(float(value))
            except (ValueError, OverflowError):
                return False

        before = len(self.problems)
        found = self.checked(name, expected, number_fits)
        return float(found) if len(self.problems) == before else 0.0


def _read_experiment(path: Path, problems: list[str]) -> Experiment | None:
    try:
        data: Any = json.loads(path.read_bytes())
        return ExperimentDocument.model_validate(data).experiment()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        # Any other, as of a disk, may be gone the next time.
        problems.append(f"{path}: {error.strerror}; expected the resolved experiment there")
    except ValidationError as error:
        for each in error.errors():
            where = ".".join(str(part) for part in each["loc"])
            problems.append(f"{path}: {where}={each['input']!r}: {each['msg']}"[:500])
    except ValueError as error:
        problems.append(f"{path}: no JSON: {error}")
    return None


def _is_endpoint(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _can_store(url: str) -> bool:
    try:
        open_store(url)
    except UnsupportedStoreError:
        return False
    return True
