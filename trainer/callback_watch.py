"""Watches the callbacks of a dry run: which hook was called when, on what metrics, at what cost."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from trainer.batch_actions import BatchActions
from trainer.contract.callback_order import CallbackKind
from trainer.contract.dry_run import CallbackTrace, Firing, WorkerTrace
from trainer.hooks import BATCH_HOOKS, is_chief_only, wants_batch_hook

_EPOCH_HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_test_begin",
    "on_test_end",
    "on_epoch_end",
    "on_train_end",
)


class CallbackWatch:
    """Stands in front of every hook of some callbacks and notes its calls; they behave as before.

    Args:
        callbacks: The callbacks and the kind of each, in their order, before training begins.
    """

    def __init__(self, callbacks: Sequence[tuple[CallbackKind, Any]]) -> None:
        self._callbacks = list(callbacks)
        self._actions = BatchActions()
        self._firings: dict[tuple[str, int | None, int | None], list[int]] = {}
        self._epoch: int | None = None
        self._metrics: list[dict[str, None]] = [{} for _ in callbacks]
        self._inside: set[int] = set()
        self._adds: list[dict[str, None]] = [{} for _ in callbacks]
        self._seconds = [0.0 for _ in callbacks]
        for number, (_, callback) in enumerate(callbacks):
            hooks = [*_EPOCH_HOOKS, *(hook for hook in BATCH_HOOKS if wants_batch_hook(callback, hook))]
            for hook in hooks:
                setattr(callback, hook, self._noted(number, hook, getattr(callback, hook)))

    def trace(self) -> WorkerTrace:
        """What has been seen so far."""
        callbacks = tuple(
            CallbackTrace(
                kind=str(kind),
                name=type(callback).__name__,
                chief_only=is_chief_only(callback),
                monitors=_monitors(callback),
                metrics=tuple(self._metrics[number]),
                adds=tuple(self._adds[number]),
                in_effect=_in_effect(callback),
                seconds=self._seconds[number],
                actions=self._actions.of(number),
            )
            for number, (kind, callback) in enumerate(self._callbacks)
        )
        firings = tuple(Firing(*key, tuple(called)) for key, called in self._firings.items())
        return WorkerTrace(callbacks, firings)

    def _noted(self, number: int, hook: str, call: Callable[..., Any]) -> Callable[..., Any]:
        of_batches = hook in BATCH_HOOKS

        def noted(*arguments: Any, **more: Any) -> Any:
            if number in self._inside:
                # One hook of a callback has called another: no moment of its own.
                return call(*arguments, **more)
            self._inside.add(number)
            try:
                return timed(*arguments)
            finally:
                self._inside.discard(number)

        def timed(*arguments: Any) -> Any:
            before = self._note(number, hook, arguments)
            began = time.perf_counter()
            with self._actions.inside(number, hook) if of_batches else nullcontext():
                result = call(*arguments)
            self._seconds[number] += time.perf_counter() - began
            if hook == "on_epoch_end":
                new = (name for name in arguments[1] or {} if name not in before)
                self._adds[number].update(dict.fromkeys(new))
            return result

        return noted

    def _note(self, number: int, hook: str, arguments: tuple[Any, ...]) -> frozenset[str]:
        """Notes a call; gives the names in the logs of an epoch's end, before the callback has them."""
        if hook == "on_epoch_begin":
            self._epoch = int(arguments[0])
        batch = int(arguments[0]) if hook in BATCH_HOOKS else None
        self._firings.setdefault((hook, self._epoch, batch), []).append(number)
        if hook != "on_epoch_end":
            return frozenset()
        # As it finds them: those behind a callback see what it adds.
        self._metrics[number].update(dict.fromkeys(arguments[1] or {}))
        return frozenset(arguments[1] or {})


def _monitors(callback: Any) -> tuple[str, ...]:
    """The metrics that a callback, ours, Keras's or a user's, says that it decides by.

    `monitors` tells of all of them where there is one: `Stopping` has a `monitor` that it may never look at.
    """
    several = getattr(callback, "monitors", None)
    named = several if isinstance(several, tuple | list) else [getattr(callback, "monitor", None)]
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def _in_effect(callback: Any) -> bool | None:
    """Whether what a callback does within steps has reached them; None where it says nothing of that."""
    # Not only of those with state: what depends on the step alone has none.
    asked = getattr(callback, "in_effect", None)
    return bool(asked()) if callable(asked) else None
