"""By what the learning rate is multiplied in each training step: warm-up, then a schedule."""

import math
from dataclasses import dataclass

SCHEDULES = ("constant", "linear", "cosine", "exponential")


@dataclass(frozen=True)
class RateShape:
    """A course of the learning rate, as shares of the rate itself.

    The warm-up rises in a line (Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2). Cosine
    falls along half a wave (Loshchilov and Hutter 2017, "SGDR", without restarts), as in Keras's CosineDecay;
    linear is Keras's PolynomialDecay of power 1; exponential loses the same share in every step.

    Attributes:
        warmup_steps: Steps until the share is 1; 0 for no warm-up.
        warmup_from: Share of the first step.
        schedule: One of `SCHEDULES`.
        decay_steps: Steps behind the warm-up until the share is `alpha`, at least 1.
        alpha: Share that is left then, and from then on.

    Raises:
        ValueError: A value is out of its range.
    """

    warmup_steps: int = 0
    warmup_from: float = 0.0
    schedule: str = "constant"
    decay_steps: int = 1
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; received {self.schedule!r}")
        if self.warmup_steps < 0 or self.decay_steps < 1:
            given = f"{self.warmup_steps} and {self.decay_steps}"
            raise ValueError(f"warm-up must be of 0 steps or more and decay of 1 or more; received {given}")
        for name in ("warmup_from", "alpha"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1; received {getattr(self, name)}")
        if self.schedule == "exponential" and self.alpha == 0.0:
            raise ValueError("alpha must be above 0 with an exponential schedule, which never reaches 0")

    def at(self, step: int) -> float:
        """The share in a step, counted from 0."""
        if step < self.warmup_steps:
            return self.warmup_from + (1.0 - self.warmup_from) * step / self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / self.decay_steps)
        match self.schedule:
            case "linear":
                return 1.0 - (1.0 - self.alpha) * done
            case "cosine":
                return self.alpha + (1.0 - self.alpha) * 0.5 * (1.0 + math.cos(math.pi * done))
            case "exponential":
                return float(self.alpha**done)
            case _:
                return 1.0
