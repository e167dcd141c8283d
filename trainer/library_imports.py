"""The libraries that an experiment imports: told by a training process, imported ahead by a standby.

To import a library ahead must change nothing of the training. So neither the experiment's own code is
imported, nor what is found elsewhere than the training process found it, and whatever an import changes
beside `sys.modules` makes the process useless for a training: `import_ahead` tells.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from functools import cache
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from pathlib import Path

import keras

from trainer.contract.messages import LibraryModule
from trainer.process_state import differences, process_state, settings
from trainer.user_code import PACKAGE_PREFIX


class LibraryImports:
    """What a training process imports from now on.

    Args:
        folder: The experiment's folder: what lies in it is no library.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._known = set(sys.modules)
        self._settings = settings()

    def found(self) -> tuple[LibraryModule, ...]:
        """The libraries' modules imported since, in their order.

        None where the experiment's code has changed settings meanwhile: a library imported after that may
        have read them, and one imported ahead would not. None either where looking for them fails, as import
        hooks of strangers may: no training ends for that.
        """
        try:
            if differences(self._settings, settings()):
                return ()
            return tuple(_imported_since(self._known, self._folder))
        except Exception:  # noqa: BLE001
            return ()


def import_ahead(modules: Sequence[LibraryModule], seed: int, must_end: Callable[[], bool]) -> list[str]:
    """Imports what another process of the same experiment has imported.

    Args:
        modules: In the order of that process.
        seed: That of the training, which that process had set by then.
        must_end: Asked before each module; what is left is left out where it is true.

    Returns:
        What this has changed beside the modules, or what was raised. Where there is anything, a training
        here could differ from others, and the process must not be used for one.
    """
    keras.utils.set_random_seed(seed)
    before = process_state()
    for module in modules:
        if must_end():
            break
        if module.name in sys.modules or not _is_found_there(module):
            continue
        try:
            importlib.import_module(module.name)
        except BaseException as error:  # noqa: BLE001  # even an exit: the experiment may never do the same
            return [f"{module.name}: {type(error).__name__}: {error}"]
    return differences(before, process_state())


def _imported_since(known: Set[str], folder: Path) -> Iterator[LibraryModule]:
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        # A module of another name in its place, or none, was put there by code that will do so again.
        if name in known or not isinstance(spec, ModuleSpec) or spec.name != name:
            continue
        if name.startswith(PACKAGE_PREFIX) or not _is_importable(name.partition(".")[0]):
            continue
        if not any(_lies_in(folder, place) for place in _places(spec)):
            yield LibraryModule(name, _places(spec))


def _is_found_there(module: LibraryModule) -> bool:
    """Whether an import would find the same file, for which nothing else must be imported."""
    parent = module.name.rpartition(".")[0]
    if parent and parent not in sys.modules:
        return False
    try:
        spec = importlib.util.find_spec(module.name)
    except (ImportError, AttributeError, ValueError):
        return False
    return spec is not None and _places(spec) == module.places


def _places(spec: ModuleSpec) -> tuple[str, ...]:
    return (spec.origin or "", *map(str, spec.submodule_search_locations or ()))


def _lies_in(folder: Path, place: str) -> bool:
    return os.path.isabs(place) and _real_directory(os.path.dirname(place)).is_relative_to(folder)


@cache
def _is_importable(top: str) -> bool:
    # What TensorFlow's AutoGraph generates lies in no folder that is searched, and in no other process.
    return any(finder.find_spec(top) is not None for finder in (BuiltinImporter, FrozenImporter, PathFinder))


@cache
def _real_directory(path: str) -> Path:
    return Path(path).resolve()
