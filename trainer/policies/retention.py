"""Which stored versions may go."""

from collections.abc import Collection, Iterable, Sequence

from trainer.contract.run_directory import CheckpointId


def to_prune(stored: Iterable[str], kept: Collection[str], landed: Collection[str]) -> tuple[str, ...]:
    """Names of stored versions that may be deleted now.

    Args:
        stored: Names that are in the store.
        kept: Names that the policy wants to keep.
        landed: Those of `kept` that are known to be in the store.

    Returns:
        Every stored name that is not kept, sorted; nothing as long as a kept one has not landed, so that the
        store never holds fewer good versions than it held before.
    """
    if not set(kept) <= set(landed):
        return ()
    return tuple(sorted(set(stored) - set(kept)))


def expired_checkpoints(
    stored: Iterable[CheckpointId], line: Sequence[CheckpointId], keep: int
) -> tuple[CheckpointId, ...]:
    """Stored checkpoints that may be deleted now: unfinished, damaged and fenced ones among them.

    Args:
        stored: What lies in the store, in any order and state.
        line: The committed checkpoints of the current line of parents not known to be damaged, newest first.
        keep: How many of `line` to keep, at least 1.

    Returns:
        Every stored one that is not among the newest `keep` of `line`, oldest first, but none that is newer
        than the newest of `line`: that could be one that another writer has just begun. Nothing as long as
        `line` is empty.

    Raises:
        ValueError: If `keep` is below 1.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1; received {keep}")
    if not line:
        return ()
    kept = set(line[:keep])
    expired = [c for c in stored if c not in kept and _age(c) < _age(line[0])]
    return tuple(sorted(expired, key=_age))


def _age(checkpoint: CheckpointId) -> tuple[int, int]:
    return checkpoint.attempt, checkpoint.ticket
