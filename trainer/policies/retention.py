"""Which stored versions may go."""

from collections.abc import Collection, Iterable


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
