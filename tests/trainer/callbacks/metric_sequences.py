"""Random options and sequences of an epoch's logs, for callbacks beside Keras's own."""

import math
import random

SEQUENCES = 500
"""For each pair of callbacks that are compared."""
MONITORS = ("val_loss", "loss", "val_accuracy", "accuracy")


def kinds_of_values(rng):
    """How the values of one sequence are drawn: ties, any, NaN among them, infinities among them."""
    return rng.choice(
        [
            lambda: rng.choice([0.5, 0.25, 1.0, 1.0 + 1e-9, 0.75]),
            rng.random,
            lambda: rng.choice([math.nan, rng.random(), rng.random()]),
            lambda: rng.choice([math.inf, -math.inf, 1.0, rng.random()]),
        ]
    )


def monitored(seed):
    """More choices, the options of a monitoring callback, and logs in which the monitor may be missing."""
    rng = random.Random(seed)
    monitor = rng.choice(MONITORS)
    values = kinds_of_values(rng)
    epochs = [
        {"loss": 1.0, **({monitor: values()} if rng.random() > 0.1 else {})}
        for _ in range(rng.randint(1, 25))
    ]
    options = {
        "monitor": monitor,
        "mode": rng.choice(["auto", "auto", "min", "max"]),
        "patience": rng.randint(0, 4),
        "min_delta": rng.choice([0, 1e-4, 0.25, -0.1]),
    }
    return rng, options, epochs


def logged(seed):
    """More choices, and logs with validation in all, some or no epochs and columns that come and go."""
    rng = random.Random(seed)
    values = kinds_of_values(rng)
    names = rng.sample(["accuracy", "mae", "zeta", "Alpha", "f1"], rng.randint(0, 3))
    validated = rng.choice([0.0, 0.5, 1.0])
    epochs = []
    for _ in range(rng.randint(1, 6)):
        train = {"loss": values(), **{name: values() for name in names if rng.random() > 0.1}}
        validation = {f"val_{name}": values() for name in train} if rng.random() < validated else {}
        epochs.append({**train, **validation})
    return rng, epochs
