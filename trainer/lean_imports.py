"""Imports Keras and TensorFlow with less computing and less memory: every new pod waits for it."""

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ON_DEMAND = frozenset({"keras.wrappers"})
"""Keras's wrappers for scikit-learn: they import it, and SciPy with it, wherever these are installed. That is
a second of computing and 60 MB in every process, and few experiments ever ask for them."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """While it is open, no garbage is looked for, and the code of the modules of `ON_DEMAND` is not run.

    What an import makes stays: to look through all of it takes a fifth of a second, whenever it is done, so
    that no later collection does either. The code is run for whoever asks for the first thing in such a
    module, then or later.
    """
    collecting = gc.isenabled()
    finder = _Finder()
    gc.disable()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if collecting:
            gc.freeze()
            gc.enable()


class _Finder(MetaPathFinder):
    """Finds the modules of `ON_DEMAND`, where others would find them too."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in ON_DEMAND else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Postponed(spec.loader)
        return spec


class _Postponed(Loader):
    """Runs no code of a module until something in it is asked for.

    Not `importlib.util.LazyLoader`: its modules are loaded by whoever looks at all modules there are, as
    `inspect` does.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OnDemand(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leaves it to the module."""


_running = threading.RLock()


class _OnDemand(ModuleType):
    """A module whose code has not been run yet."""

    def __getattr__(self, name: str) -> Any:
        # What is asked of every module there is, and nothing that one has.
        if name.startswith("__") and name != "__all__":
            raise _missing(self, name)
        self._run()
        if name in self.__dict__:
            return self.__dict__[name]
        raise _missing(self, name)

    def __dir__(self) -> list[str]:
        self._run()
        return sorted(self.__dict__)

    def _run(self) -> None:
        with _running:
            loader = self.__loader__
            # Done by another thread, or being done by this one.
            if not isinstance(loader, _Postponed):
                return
            self.__loader__ = loader.loader
            try:
                loader.loader.exec_module(self)
            except BaseException:
                # The next one who asks is told the same, and not that something is missing.
                self.__loader__ = loader
                raise
            if self.__spec__ is not None:
                self.__spec__.loader = loader.loader
            # From here on it is a module like any other.
            self.__class__ = ModuleType  # type: ignore[assignment]  # a module may change its class


def _missing(module: ModuleType, name: str) -> AttributeError:
    return AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
