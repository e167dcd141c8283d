"""The stages of a group's life; `trainer.supervisor.group` tells how one leads to the next."""

from enum import StrEnum


class Stage(StrEnum):
    """Where the group is."""

    LOADING = "loading"
    GATHERING = "gathering"
    TAKING = "taking"
    RUNNING = "running"
    ENDING = "ending"
    FINISHING = "finishing"
    DONE = "done"
