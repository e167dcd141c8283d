"""An experiment's callbacks as text: a table that says of each why it stands where it stands."""

from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainer.contract.callback_order import PlacedCallback

_BEHIND = "The state is saved behind the last of them: a checkpoint has every decision of its epoch in it."
_HEAD = ("#", "callback", "reads", "changes", "state in a checkpoint", "why here")
_UNBROKEN = 2


def table(callbacks: Sequence[PlacedCallback], width: int) -> str:
    """A row for each callback, in the order in which they are called.

    Args:
        callbacks: Those of an experiment.
        width: Columns of the terminal; longer cells go on in the next line.
    """
    if not callbacks:
        return "The experiment has no callbacks."
    rows = [
        (str(each.number), each.key, each.reads, each.changes, each.state, each.position.reason)
        for each in callbacks
    ]
    return f"{wrapped(_HEAD, rows, width)}\n\n{_BEHIND}"


def wrapped(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """A table that is at most so wide: cells that are too long go on in the next line.

    Args:
        head: Names of the columns; the cells of the first two are never broken.
        rows: Cells, in the columns' order.
        width: In characters.
    """
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(head):
        shown.add_column(Text(name), no_wrap=index < _UNBROKEN, overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))
    lines = StringIO()
    Console(file=lines, width=width, color_system=None, force_terminal=False, legacy_windows=False).print(
        shown
    )
    return "\n".join(line.rstrip() for line in lines.getvalue().rstrip("\n").splitlines())
