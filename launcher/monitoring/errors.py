"""What keeps runs from being monitored."""

from trainer.contract.exit_codes import ExitCode


class MonitoringError(Exception):
    """Something is missing, or has ended; the message says what to do.

    Attributes:
        exit_code: What the command line ends with.
    """

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
