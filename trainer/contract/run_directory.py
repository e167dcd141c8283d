"""Every path in a run directory, as string URLs."""

import re
from dataclasses import dataclass

_BEST_NAME = re.compile(r"(?P<epoch>\d+)-(?P<value>.+)(?P<suffix>\.keras|\.weights\.h5)")


@dataclass(frozen=True)
class RunDirectory:
    """The directory `<storage>/<experiment>/<run>` and what lies where in it.

    Attributes:
        url: Path or URL of the directory; a trailing slash is dropped.
    """

    url: str

    def __post_init__(self) -> None:
        stripped = self.url.rstrip("/")
        # `memory://` and `/` are roots: their slashes are not a trailing slash.
        object.__setattr__(self, "url", self.url if stripped.endswith(":") else stripped)

    @property
    def experiment(self) -> str:
        """The resolved experiment file."""
        return self._join("experiment.yaml")

    @property
    def environment(self) -> str:
        """Versions and settings that the run was made with, as JSON."""
        return self._join("environment.json")

    @property
    def result(self) -> str:
        """How the run ended, as JSON; it exists only once the run has ended."""
        return self._join("result.json")

    @property
    def events(self) -> str:
        """What happened in the run, a JSON object per line."""
        return self._join("events.jsonl")

    @property
    def csv(self) -> str:
        """One row per epoch."""
        return self._join("logs/training.csv")

    @property
    def tensorboard(self) -> str:
        """The directory to point TensorBoard at."""
        return self._join("logs/tensorboard")

    def best_directory(self, monitor: str) -> str:
        """Where the best models by `monitor` lie."""
        return self._join(f"best/{_legal(monitor)}")

    def best(self, monitor: str, epoch: int, value: float, suffix: str = ".keras") -> str:
        """A best model by `monitor`; for the arguments see `best_name`."""
        return f"{self.best_directory(monitor)}/{best_name(epoch, value, suffix)}"

    def _join(self, path: str) -> str:
        return self.url + path if self.url.endswith("/") else f"{self.url}/{path}"


def best_name(epoch: int, value: float, suffix: str = ".keras") -> str:
    """File name of a best model: `<epoch>-<value><suffix>`, legal everywhere, sorted by epoch.

    Args:
        epoch: One-based epoch, as Keras prints it.
        value: The monitored metric, shown with six significant digits.
        suffix: `.keras` or `.weights.h5`.
    """
    return f"{epoch:05d}-{value:.6g}{suffix}".replace("+", "")


def is_best_name(name: str) -> bool:
    """Tells whether `name` could have come from `best_name`."""
    return _BEST_NAME.fullmatch(name) is not None


def _legal(monitor: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", monitor)
