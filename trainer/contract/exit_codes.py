"""Every exit code of a training process and of the command line, and what it means to whoever sees it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a process ended, in the numbers of sysexits.h where it has one.

    A launcher never repeats a run that ended with one of 64, 65, 70, 77 and 78: the same thing would happen
    again (70 is what the leader of the group ends with once it is sure of that). Any other end may be a
    disruption, after which a new attempt is worth while.
    """

    OK = 0
    """The run finished, or was finished already."""
    CRASH = 1
    """A process died, or failed in a way that is neither the experiment's nor the machine's known fault."""
    USAGE = 64
    """The command line or the experiment file is wrong."""
    DATA = 65
    """What a run should read cannot be used: no valid checkpoint, damaged or unusable data, or data that
    differ between the workers."""
    UNAVAILABLE = 69
    """The cluster does not answer; what runs on it goes on."""
    SOFTWARE = 70
    """The experiment's own code raised an exception or ended the process, or the budget of failures is
    spent."""
    INCOMPLETE = 75
    """The group stayed incomplete for too long; the run goes on when started again."""
    FENCED = 76
    """Another leader has taken over the run; this one has written nothing since."""
    NO_PERMISSION = 77
    """The storage refuses to be read or written, or the cluster refuses what was asked of it."""
    CONFIG = 78
    """The run exists already, with another experiment or a model that its checkpoint does not fit, or another
    process of this machine trains it."""
    INTERRUPTED = 130
    """Ended by Ctrl-C (128 + SIGINT)."""
    TERMINATED = 143
    """Ended by SIGTERM (128 + SIGTERM), or stopped: the run goes on when started again."""


NEVER_REPEATED = frozenset({ExitCode.USAGE, ExitCode.DATA, ExitCode.NO_PERMISSION, ExitCode.CONFIG})
"""What a training process ends with where another attempt would end the same way at once."""
