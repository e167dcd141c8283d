"""Which checkpoints count: those on the current line of parents."""

from collections.abc import Iterable, Mapping

from trainer.contract.run_directory import CheckpointId


def line_of_parents(
    stored: Iterable[CheckpointId], starts: Mapping[int, CheckpointId | None]
) -> tuple[CheckpointId, ...]:
    """The checkpoints that a resume may take, newest first.

    The line begins at the highest attempt and goes back in time:

    1. Of an attempt on the line, every checkpoint counts, up to the ticket at which the line left it.
    2. An attempt that went on from checkpoint (t, a) takes the line to attempt a, and leaves it at ticket t.
       Whatever an attempt between the two holds, and what attempt a holds beyond t, was committed late by an
       attempt that had been fenced: it does not count, also where it is newer, valid, or the only one left.
    3. An attempt that began from nothing ends the line (the first, and one that was told to start over).
    4. An attempt of which no start is known has never gone as far as to record it: it is passed by.

    Args:
        stored: All checkpoints there are, in whatever state: a damaged one has its place on the line as well.
        starts: Attempt to the checkpoint it went on from, None where it began from nothing; only known ones.
    """
    found = list(stored)
    line: list[CheckpointId] = []
    left: CheckpointId | None = None
    for attempt in sorted({c.attempt for c in found} | set(starts), reverse=True):
        if left is not None and attempt > left.attempt:
            continue
        own = (c for c in found if c.attempt == attempt and (left is None or c.ticket <= left.ticket))
        line += sorted(own, key=lambda c: c.ticket, reverse=True)
        if attempt in starts:
            left = starts[attempt]
            if left is None:
                break
    return tuple(line)


def attempts_on_line(attempts: Iterable[int], starts: Mapping[int, CheckpointId | None]) -> tuple[int, ...]:
    """The attempts through which the line goes, newest first; see `line_of_parents`."""
    heads = line_of_parents((CheckpointId(0, 0, attempt) for attempt in attempts), starts)
    return tuple(head.attempt for head in heads)
