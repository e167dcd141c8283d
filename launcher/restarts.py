"""When a supervisor that died is started again: Kubernetes' rules on a shorter clock; pure."""

from dataclasses import dataclass

from trainer.contract.exit_codes import ExitCode

SHORTENED = 20
"""A second here stands for so many of Kubernetes'."""

FIRST_SECONDS = 1.0 / SHORTENED
"""Wait before the first restart: the kubelet's second."""

BASE_SECONDS = 10.0 / SHORTENED
"""Wait before the second restart, doubled with every further one: the kubelet's ten seconds."""

LONGEST_SECONDS = 300.0 / SHORTENED
"""No wait is longer: the kubelet's five minutes."""

RESET_SECONDS = 600.0 / SHORTENED
"""Whoever ran for so long begins with the first wait again: the kubelet's ten minutes."""

MOST_CRASHES = 6
"""A supervisor that exits so often in a row, soon after its start and for no known reason, is given up."""

FINAL = frozenset(
    {
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.DATA,
        ExitCode.SOFTWARE,
        ExitCode.FENCED,
        ExitCode.NO_PERMISSION,
        ExitCode.CONFIG,
    }
)
"""Exits that say how the run ended, or that it goes on elsewhere.

Kubernetes restarts a fenced pod, since there the other one is its own successor. Here that one belongs to
another `perdure run`, and two would fence each other for ever.
"""


@dataclass
class Backoff:
    """The waits of one supervisor.

    Attributes:
        restarts: Restarts since it last ran long enough.
        crashes: How many of the last exits, in a row, were its own doing.
    """

    restarts: int = 0
    crashes: int = 0

    def after_exit(self, status: int, ran_seconds: float) -> float | None:
        """The wait before the next start, in seconds, or None where none is worth while.

        Args:
            status: Exit code, or minus the signal that killed it.
            ran_seconds: How long it ran.
        """
        if status in FINAL:
            return None
        if ran_seconds >= RESET_SECONDS:
            self.restarts = self.crashes = 0
        asked_for = status < 0 or status in (ExitCode.TERMINATED, ExitCode.INCOMPLETE)
        self.crashes = 0 if asked_for else self.crashes + 1
        if self.crashes >= MOST_CRASHES:
            return None
        self.restarts += 1
        if self.restarts == 1:
            return FIRST_SECONDS
        return min(BASE_SECONDS * 2.0 ** (self.restarts - 2), LONGEST_SECONDS)
