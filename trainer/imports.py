"""What an experiment imports beside its own code: told by a training process, imported ahead by the next."""

import importlib
import logging
import random
import sys
from collections.abc import Iterable, Set
from importlib.machinery import ModuleSpec

import numpy as np

from trainer.keras_private import has_eager_context
from trainer.user_code import PACKAGE_PREFIX

_log = logging.getLogger(__name__)


class ImportedTooMuchError(Exception):
    """A module cannot be imported ahead: importing it changes what a training is to begin with."""


def imported_since(before: Set[str]) -> tuple[str, ...]:
    """Names the installed modules that have been imported, in their order, the experiment's own left out.

    Args:
        before: The names that `sys.modules` had then.
    """
    return tuple(name for name in list(sys.modules) if name not in before and _is_installed(name))


def import_ahead(modules: Iterable[str]) -> None:
    """Imports what another process of the same experiment has imported; one that fails is left out.

    Args:
        modules: Their names, in the order of that process.

    Raises:
        ImportedTooMuchError: One of them drew random numbers or made TensorFlow open its devices. The
            process must not be used for a training then, which begins before either.
    """
    for name in modules:
        before = _random_state()
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # whoever needs it will import it again, and raise it
            _log.info("%s cannot be imported ahead: %s", name, error)
        if has_eager_context():
            raise ImportedTooMuchError(f"importing {name} makes TensorFlow open its devices")
        if _random_state() != before:
            raise ImportedTooMuchError(f"importing {name} draws random numbers")


def _is_installed(name: str) -> bool:
    spec = getattr(sys.modules[name], "__spec__", None)
    # A module of another name in its place, or none, was put there by a module that will do so again.
    return isinstance(spec, ModuleSpec) and spec.name == name and not name.startswith(PACKAGE_PREFIX)


def _random_state() -> tuple[object, ...]:
    kind, keys, *rest = np.random.get_state()
    return (random.getstate(), kind, np.asarray(keys).tobytes(), *rest)
