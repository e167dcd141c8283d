"""What differs between the experiment that a run was made with and the one it shall go on with; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What a change does to a run that goes on."""

    WRONG = "wrong"
    """What follows would not be what either experiment stands for."""
    INEXACT = "inexact"
    """The run goes on rightly, but its bits are no longer those of an undisturbed run."""
    LATER = "later"
    """It counts from here on, as the user would expect."""


_EFFECTS: dict[str, tuple[Effect, str]] = {
    "metadata.name": (Effect.WRONG, "another experiment"),
    "spec.workers": (Effect.INEXACT, "the rows of a step are dealt out otherwise: same course, other bits"),
    "spec.training.model": (Effect.WRONG, "another model: the saved state may not fit it"),
    "spec.training.data": (Effect.WRONG, "other data: what was seen of an epoch is no longer known"),
    "spec.training.parameters": (Effect.WRONG, "model and data may be others"),
    "spec.training.global_batch_size": (Effect.WRONG, "steps have other rows: the place in the data is lost"),
    "spec.training.seed": (Effect.WRONG, "the order of the data and all random choices are others"),
    "spec.training.shuffle": (Effect.WRONG, "the order of the data is another"),
    "spec.training.steps_per_epoch": (Effect.WRONG, "epochs have another length"),
    "spec.training.deterministic": (Effect.INEXACT, "same bits for the same seed are no longer promised"),
    "spec.training.threads": (Effect.INEXACT, "they are part of what decides the bits"),
    "spec.training.steps_per_execution": (Effect.INEXACT, "saves fall on other steps"),
    "spec.training.initial_weights": (Effect.LATER, "read only when a run begins: without effect"),
    "spec.callbacks.custom": (Effect.WRONG, "other callbacks: their saved state may not fit"),
}
_OTHERWISE = (Effect.LATER, "counts from here on")


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        key: Key path in the experiment file, or the path of a file of code.
        before: Its value in the run; None where there was none.
        after: Its value now; None where there is none.
        effect: What it does to the run.
        why: That in words.
    """

    key: str
    before: str | None
    after: str | None
    effect: Effect
    why: str

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.key}: {'new' if self.before is None else 'gone'} ({self.why})"
        values = "" if self.before == self.after else f" {self.before} -> {self.after}"
        return f"{self.key}:{values or ' changed'} ({self.why})"


def changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    code_before: Mapping[str, str] | None,
    code_after: Mapping[str, str],
) -> list[Change]:
    """Lists what differs, code last.

    Args:
        before: The resolved experiment of the run, as a file holds it.
        after: The same of now.
        code_before: sha256 by path of each file of code of the run; None where it was not recorded.
        code_after: The same of now.
    """
    old, new = flat(before), flat(after)
    found = [
        Change(key, old.get(key), new.get(key), *_effect(key, old.get(key), new.get(key)))
        for key in dict.fromkeys([*old, *new])
        # A run lies where it is found, whatever its experiment said of that.
        if old.get(key) != new.get(key) and not key.startswith("spec.storage")
    ]
    known = code_after if code_before is None else code_before
    for path in sorted({*known, *code_after}):
        was, now = known.get(path), code_after.get(path)
        if was != now:
            shown = ("changed" if was else None, "changed" if now else None)
            found.append(Change(path, *shown, Effect.WRONG, "code of the experiment"))
    return found


def _effect(key: str, before: str | None, after: str | None) -> tuple[Effect, str]:
    if key == "spec.training.epochs" and before is not None and after is not None:
        return Effect.LATER, "extended" if int(after) > int(before) else "shortened"
    for prefix, effect in _EFFECTS.items():
        if key == prefix or key.startswith((prefix + ".", prefix + "[")):
            return effect
    return _OTHERWISE


def flat(value: Any, key: str = "") -> dict[str, str]:
    """Every leaf as text by its key path; an empty mapping or list is a leaf."""
    if isinstance(value, Mapping) and value:
        below = ((f"{key}.{name}" if key else str(name), item) for name, item in value.items())
    elif isinstance(value, list | tuple) and value:
        below = ((f"{key}[{index}]", item) for index, item in enumerate(value))
    else:
        return {key: "none" if value is None else str(value)}
    return {path: text for name, item in below for path, text in flat(item, name).items()}
