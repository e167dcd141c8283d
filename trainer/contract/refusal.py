"""What is wrong with what a run was given, as an exception that knows its exit code."""

from trainer.contract.exit_codes import ExitCode


class RefusedError(Exception):
    """What a run was given cannot be used; another attempt would end alike. The message is for its user.

    Attributes:
        exit_code: What the run ends with.
    """

    exit_code: ExitCode
