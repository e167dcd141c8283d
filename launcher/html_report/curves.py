"""What a run measured in each epoch, from its CSV log or, where it wrote none, from its result; pure."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

EPOCH = "epoch"
EPOCH_SECONDS = "epoch_seconds"
LEARNING_RATE = "learning_rate"
VALIDATION = "val_"
_MOST_DIGITS = 15

Value = float | None
"""None where nothing was measured."""


@dataclass(frozen=True)
class Curves:
    """A column per metric, a row per epoch.

    Attributes:
        epochs: From 1, ascending.
        columns: Values by the column's name, one per epoch.
    """

    epochs: tuple[int, ...] = ()
    columns: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Names of what was trained for and validated: neither learning rates nor times."""
        return [name for name in self.columns if name != EPOCH_SECONDS and not name.startswith(LEARNING_RATE)]

    @property
    def learning_rates(self) -> list[str]:
        """Names of the learning rates."""
        return [name for name in self.columns if name.startswith(LEARNING_RATE)]

    def points(self, name: str) -> list[tuple[float, Value]]:
        """Epoch and value of each row of a column; none where there is no such column."""
        return list(zip(map(float, self.epochs), self.columns.get(name, ()), strict=False))

    def finite(self, name: str) -> list[tuple[int, float]]:
        """Epoch and value of each row of a column that holds a finite number."""
        rows = zip(self.epochs, self.columns.get(name, ()), strict=False)
        return [(epoch, value) for epoch, value in rows if value is not None and math.isfinite(value)]


def from_csv(text: str) -> Curves:
    """Reads a CSV log.

    Raises:
        ValueError: It is none.
    """
    # What is no number is no metric; of a row that was written twice the last one counts.
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = {_epoch(row.get(EPOCH)): row for row in reader}
    except csv.Error as error:
        raise ValueError(f"not a table of comma-separated values: {error}") from error
    names = [name for name in reader.fieldnames or () if name and name != EPOCH]
    if EPOCH not in (reader.fieldnames or ()):
        raise ValueError(f"its first line names no column {EPOCH!r}")
    epochs = sorted(epoch for epoch in rows if epoch is not None)
    columns = {name: tuple(number(rows[epoch].get(name)) for epoch in epochs) for name in names}
    return Curves(tuple(epoch + 1 for epoch in epochs), _measured(columns))


def from_history(history: Mapping[str, object]) -> Curves:
    """Reads the history in a result, which has no times."""
    lists = {name: values for name, values in history.items() if isinstance(values, list)}
    longest = max(map(len, lists.values()), default=0)
    columns = {
        # Where not every epoch has a value, which ones have is not told.
        name: tuple(number(value) for value in values)
        for name, values in lists.items()
        if len(values) == longest
    }
    return Curves(tuple(range(1, longest + 1)), _measured(columns))


def number(value: object) -> Value:
    """A number, also one that stands as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _measured(columns: Mapping[str, tuple[Value, ...]]) -> dict[str, tuple[Value, ...]]:
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _epoch(value: str | None) -> int | None:
    # No run has a number of epochs with more digits: it is damaged, and no axis reaches there.
    try:
        return int(value or "") if len(value or "") <= _MOST_DIGITS else None
    except ValueError:
        return None
