"""Holds the data of all workers against each other before anything is made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from trainer.contract.exit_codes import ExitCode
from trainer.contract.refusal import RefusedError
from trainer.distribution import gather_objects

Facts = Mapping[str, str]


class UnequalDataError(RefusedError, ValueError):
    """The workers have different data where all need the same."""

    exit_code = ExitCode.DATA


def require_same(strategy: tf.distribute.Strategy, what: str, facts: Facts) -> None:
    """Compares what the workers have; a collective.

    Args:
        strategy: The strategy of this process.
        what: What the facts are about, for the message.
        facts: What has to be the same on all workers, by name.

    Raises:
        UnequalDataError: On all workers; says which of them has what.
    """
    every: list[Facts] = gather_objects(strategy, dict(facts))
    if any(each != every[0] for each in every):
        raise UnequalDataError(_told(what, every))


def _told(what: str, every: Sequence[Facts]) -> str:
    names = [name for name in every[0] if len({each.get(name) for each in every}) > 1]
    lines = [f"the workers have different {what}:"]
    for name in names or sorted({name for each in every for name in each}):
        by_value: dict[Any, list[int]] = {}
        for worker, each in enumerate(every):
            by_value.setdefault(each.get(name, "none"), []).append(worker)
        lines += [f"  {name} of {_workers(workers)}: {value}" for value, workers in by_value.items()]
    lines.append(
        "All workers have to be given the same data, each reads its rows of them; where each has rows of its "
        "own, give a function that returns an unbatched tf.data.Dataset of them."
    )
    return "\n".join(lines)


def _workers(numbers: Sequence[int]) -> str:
    return f"worker{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def nest_text(nest: Any) -> str:
    """A structure of specs as people write it: `({'a': float32 (?, 3)}, int64 (?))`."""
    if isinstance(nest, Mapping):
        return "{" + ", ".join(f"{key!r}: {nest_text(nest[key])}" for key in sorted(nest)) + "}"
    if isinstance(nest, list | tuple):
        return "(" + ", ".join(map(nest_text, nest)) + ")"
    shape = getattr(nest, "shape", None)
    if shape is None or shape.rank is None:
        return str(nest)
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"{nest.dtype.name} ({sizes})"
