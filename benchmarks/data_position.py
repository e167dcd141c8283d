"""How long it takes to find the place 100,000 batches into a pass again, beside the start of the pass."""

import argparse
import json
import statistics
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.comparison import Comparison, alternating
from trainer.data import Feed, Place, open_source

_BATCHES = 100_000
_BATCH = 8
_COLUMNS = 16


def measure(pairs: int, quick: bool) -> list[Comparison]:
    """Compares both, for arrays and for a function that opens a dataset."""
    batches = _BATCHES // 100 if quick else _BATCHES
    x = np.random.default_rng(7).random(((batches + 100) * _BATCH, _COLUMNS), np.float32)
    forms: tuple[tuple[str, Any, int, float | None], ...] = (
        ("arrays, shuffled", x, 25, 1.5),
        (
            "a `tf.data` factory, which replays the pass",
            lambda: tf.data.Dataset.from_tensor_slices(x).map(abs),
            1,
            None,
        ),
    )
    found = []
    for name, form, repeats, target in forms:
        seconds = partial(_seconds, _source(form), repeats)
        seconds(0)  # what is paid once is on no side
        taken = list(alternating(pairs, partial(seconds, batches), partial(seconds, 0)))
        ours, theirs = zip(*taken, strict=True)
        figure = f"first step {batches:,} batches into a pass: {name}"
        found.append(Comparison(figure, ours, "first step of the pass", theirs, target))
    return found


def _source(form: Any) -> Any:
    return open_source(
        form, strategy=tf.distribute.get_strategy(), training=True, batch_size=_BATCH, shuffle=True, seed=7
    )


def _seconds(source: Any, repeats: int, batch: int) -> float:
    """The median of some tries: where one takes a millisecond, the start of a thread varies by as much."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        feed = Feed(source, None, Place(0, batch, batch))
        next(feed.epoch())
        taken.append(time.perf_counter() - began)
        feed.close()
    return statistics.median(taken)


def main() -> None:
    """Parses the command line, measures, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    found = measure(arguments.pairs, arguments.quick)
    Path(arguments.report).write_text(json.dumps([asdict(comparison) for comparison in found]))


if __name__ == "__main__":
    main()
