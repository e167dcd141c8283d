"""A run's status on a terminal, drawn anew at each look, with what happens above it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from launcher.plain_text import plain
from launcher.run_report import table
from launcher.run_status import RunStatus
from launcher.state_colours import with_states


class WatchView:
    """Shows one run until it ends.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begins to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes what is drawn away, unless Ctrl-C asks for no more of it; what was told stays."""
        self._live.transient = kind is not KeyboardInterrupt
        self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Draws what the run is doing now."""
        self._live.update(Text.from_ansi(with_states(plain(table(status)))), refresh=True)

    def tell(self, line: str) -> None:
        """Tells what was done, above what is drawn."""
        self._live.console.print(Text(plain(line)), soft_wrap=True)
