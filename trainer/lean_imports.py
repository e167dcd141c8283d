"""Imports Keras and TensorFlow with less computing and less memory: every new pod waits for it."""

import gc
import sys
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

    What an import makes stays, so that to look through it, again and again, finds nothing. The code is run
    for whoever asks for the first thing in such a module, then or later.
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


class _OnDemand(ModuleType):
    """A module whose code has not been run."""

    def __getattr__(self, name: str) -> Any:
        # What is asked of every module there is, and nothing that one has.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self._run()
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        self._run()
        return dir(self)

    def _run(self) -> None:
        spec = self.__spec__
        assert spec is not None
        assert isinstance(spec.loader, _Postponed)
        spec.loader = self.__loader__ = spec.loader.loader
        # From here on it is a module like any other, for what it imports as well.
        self.__class__ = ModuleType  # type: ignore[assignment]  # a module may change its class
        spec.loader.exec_module(self)
