"""The two programs: found on the PATH, started, waited for, ended."""

import http.client
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.monitoring.configuration import HOST, Setup, grafana_variables, shared_folder, write_files
from launcher.monitoring.errors import MonitoringError
from trainer.contract.exit_codes import ExitCode

NO_PROMETHEUS = """\
Prometheus is not installed: there is no program `prometheus` on the PATH.
  Debian, Ubuntu   apt install prometheus
  Fedora           dnf install golang-github-prometheus
  macOS            brew install prometheus
  elsewhere        https://prometheus.io/download"""
NO_GRAFANA = """\
not installed, so that no dashboards are shown: https://grafana.com/grafana/download"""

_LOOK_SECONDS = 0.2
_READY_SECONDS = 60.0
_END_SECONDS = 15.0
_LOG_LINES = 5
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Program:
    """One of the two.

    Attributes:
        name: What people call it.
        command: How it is started.
        variables: Environment variables, beside those of this process.
        port: Where it listens.
        health: Path that it answers with 200 once it is up.
        option: The option of ours that gives it another port.
    """

    name: str
    command: Sequence[str]
    variables: Mapping[str, str]
    port: int
    health: str
    option: str


class Child:
    """A program that runs, in a session of its own: a Ctrl-C in a terminal reaches this process alone.

    Attributes:
        program: What it is.
        log: The file with all that it prints.
    """

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                list(program.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **program.variables},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Looks whether it still runs.

        Raises:
            MonitoringError: It has ended.
        """
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        raise MonitoringError(
            "\n".join(
                (
                    f"{self.program.name} has ended with exit code {code}. The last lines of {self.log}:",
                    *(f"  {line}" for line in lines),
                    f"Where its port {self.program.port} is taken, {self.program.option} chooses another.",
                )
            ),
            ExitCode.CRASH,
        )

    def is_ready(self) -> bool:
        """Whether it answers."""
        connection = http.client.HTTPConnection(HOST, self.program.port, timeout=5)
        try:
            connection.request("GET", self.program.health)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def end(self) -> None:
        """Ends it, and waits until it has."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Monitor:
    """Both programs, or Prometheus alone.

    Attributes:
        children: Those that run.
    """

    def __init__(self, children: Sequence[Child], asked: threading.Event) -> None:
        self.children = children
        self._asked = asked

    @property
    def has_grafana(self) -> bool:
        """Whether there are dashboards."""
        return len(self.children) > 1

    def wait_until_ready(self) -> bool:
        """Waits until all answer; False where the end was asked for before.

        Raises:
            MonitoringError: One has ended, or does not answer.
        """
        deadline = time.monotonic() + _READY_SECONDS
        missing = list(self.children)
        while missing and not self._asked.wait(_LOOK_SECONDS):
            for child in missing:
                child.check()
            missing = [child for child in missing if not child.is_ready()]
            if missing and time.monotonic() > deadline:
                raise MonitoringError(
                    f"{missing[0].program.name} does not answer at port {missing[0].program.port}; "
                    f"see {missing[0].log}",
                    ExitCode.CRASH,
                )
        return not self._asked.is_set()

    def wait_until_asked(self) -> None:
        """Waits for Ctrl-C, SIGTERM or SIGHUP.

        Raises:
            MonitoringError: One of the programs has ended.
        """
        while not self._asked.wait(_LOOK_SECONDS):
            for child in self.children:
                child.check()


@contextmanager
def monitored(setup: Setup) -> Iterator[Monitor]:
    """Writes the files, and runs the programs as long as this is open. Call it from the main thread.

    Args:
        setup: Where everything is.

    Raises:
        MonitoringError: Prometheus is not installed, or the rules are not there.
        OSError: The files cannot be written.
    """
    programs = _programs(setup)
    write_files(setup, shared_folder())
    with _asked_to_end() as asked, ExitStack() as running:
        children = []
        for program in programs:
            child = Child(program, setup.folder / f"{program.name.lower()}.log")
            running.callback(child.end)
            children.append(child)
        yield Monitor(children, asked)


def _programs(setup: Setup) -> list[Program]:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        raise MonitoringError(NO_PROMETHEUS)
    grafana = _grafana_command()
    return [_prometheus(setup, prometheus), *([_grafana(setup, grafana)] if grafana else [])]


def _prometheus(setup: Setup, path: str) -> Program:
    command = (
        path,
        f"--config.file={setup.prometheus_file}",
        f"--storage.tsdb.path={setup.folder / 'prometheus'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address={HOST}:{setup.port}",
    )
    return Program("Prometheus", command, {}, setup.port, "/-/ready", "--port")


def _grafana(setup: Setup, command: Sequence[str]) -> Program:
    variables = grafana_variables(setup)
    return Program("Grafana", command, variables, setup.grafana_port, "/api/health", "--grafana-port")


def _grafana_command() -> list[str] | None:
    """How Grafana is started; None where it is not installed."""
    for name, verb in (("grafana", ["server"]), ("grafana-server", [])):
        found = shutil.which(name)
        if found is not None:
            home = _grafana_home(Path(found))
            return [found, *verb, *([] if home is None else ["--homepath", str(home)])]
    return None


def _grafana_home(program: Path) -> Path | None:
    """The folder with Grafana's defaults; None where it has to find it by itself."""
    beside = program.resolve().parents[1]
    places = (beside, beside / "share" / "grafana", Path("/usr/share/grafana"))
    return next((place for place in places if (place / "conf" / "defaults.ini").is_file()), None)


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """An event that the first SIGINT, SIGTERM or SIGHUP sets, so that none of them interrupts anything."""
    asked = threading.Event()
    # One that is ignored, as SIGHUP is under nohup, stays so.
    numbers = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
