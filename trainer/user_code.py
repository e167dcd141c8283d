"""Imports an experiment's own code: it behaves like a script's, and never meets another experiment's.

The experiment's folder becomes a package of its own name, `perdure_experiment_<name>_<hash of the path>`.
Inside its modules, and only there, `import sibling` means the module beside them: they are run with an
`__import__` that looks into the folder first. So two experiments' model.py never collide, and no library can
pick up a file of the experiment by accident.

A process that was spawned by the experiment (`multiprocessing`, `ProcessPoolExecutor`) finds the package too:
its folder stands in the environment, and this module, which every main module of Perdure imports, reads it.
"""

import builtins
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

VARIABLE = "PERDURE_EXPERIMENT_FOLDER"

PACKAGE_PREFIX = "perdure_experiment_"
"""What the names of all experiments' packages begin with."""


class UserCodeError(Exception):
    """A reference such as `model.py:build` leads nowhere; the message says what is wrong and where."""


def package_name(folder: Path) -> str:
    """Names the package that stands for an experiment's folder."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]
    return f"{PACKAGE_PREFIX}{re.sub(r'[^A-Za-z0-9]', '_', folder.name)}_{digest}"


class _ScopedLoader(SourceFileLoader):
    """Runs a module of the experiment with an `__import__` that finds its siblings."""

    def __init__(self, fullname: str, path: str, scope: "_Scope") -> None:
        super().__init__(fullname, path)
        self._scope = scope

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": self._scope.import_module}
        code = self.get_code(module.__name__)
        if not isinstance(code, CodeType):
            raise ImportError(f"no code in {self.path}", name=module.__name__, path=self.path)
        exec(code, module.__dict__)  # noqa: S102 - this is what importing a module is


class _Scope:
    """One experiment's folder: a finder for its package, and the imports of its modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = package_name(folder)
        self._siblings: dict[str, bool] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds the package and everything under it; the protocol of `sys.meta_path`."""
        if fullname == self.package:
            return self._package_spec()
        if not fullname.startswith(self.package + "."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _ScopedLoader(fullname, spec.loader.path, self)
        return spec

    def import_module(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of `builtins.__import__`
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement in the experiment's code calls; see `builtins.__import__`."""
        top = name.partition(".")[0]
        if level or not self._is_sibling(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        inside = f"{self.package}.{name}"
        if fromlist:
            return builtins.__import__(inside, globals, locals, fromlist, 0)
        importlib.import_module(inside)
        return sys.modules[f"{self.package}.{top}"]  # `import sub.x` binds `sub`

    def _package_spec(self) -> ModuleSpec:
        initial = self.folder / "__init__.py"
        loader = _ScopedLoader(self.package, str(initial), self) if initial.is_file() else None
        spec = ModuleSpec(self.package, loader, origin=str(self.folder), is_package=True)
        spec.submodule_search_locations = [str(self.folder)]
        if loader is not None:
            spec.origin, spec.has_location = str(initial), True
        return spec

    def _is_sibling(self, top: str) -> bool:
        if top not in self._siblings:
            self._siblings[top] = self._look_up(top)
        return self._siblings[top]

    def _look_up(self, top: str) -> bool:
        spec = PathFinder.find_spec(f"{self.package}.{top}", [str(self.folder)])
        if spec is None:
            return False
        # A folder without __init__.py is a package only where nothing else has that name, as in Python.
        return spec.loader is not None or importlib.util.find_spec(top) is None


def install(folder: Path) -> str:
    """Makes an experiment's folder importable, in this process and in those that it spawns.

    Args:
        folder: The experiment's folder.

    Returns:
        The name of its package.
    """
    folder = folder.resolve()
    os.environ[VARIABLE] = str(folder)
    scope = _Scope(folder)
    if not any(isinstance(finder, _Scope) and finder.package == scope.package for finder in sys.meta_path):
        sys.meta_path.insert(0, scope)
    return scope.package


def load(reference: str, folder: Path) -> Callable[..., Any]:
    """Imports what an experiment refers to.

    Args:
        reference: `file.py:name`, a path inside the folder, or `package.module:name` of an installed package.
        folder: The experiment's folder.

    Returns:
        The function or class.

    Raises:
        UserCodeError: There is no such file, module or name, or it cannot be called. An exception of the code
            itself is passed on as it is.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UserCodeError(f"{reference!r} is not of the form file.py:name or package.module:name")
    module = _import_file(place, folder) if place.endswith(".py") else _import_installed(place)
    try:
        found = getattr(module, name)
    except AttributeError:
        known = ", ".join(sorted(key for key, value in vars(module).items() if _is_own(value, module)))
        raise UserCodeError(f"{place} defines no {name!r}; it defines {known or 'no function'}") from None
    if not callable(found):
        raise UserCodeError(f"{name!r} of {place} cannot be called: it is {type(found).__name__} {found!r}")
    return found  # type: ignore[no-any-return]  # checked to be callable just above


def load_installed(reference: str) -> Callable[..., Any]:
    """As `load`, where there is no folder: `package.module:name` of an installed package.

    Raises:
        UserCodeError: There is no such module or name, it cannot be called, or it is a file.
    """
    if reference.partition(":")[0].endswith(".py"):
        raise UserCodeError(f"{reference!r} is a file of an experiment, and there is no experiment's folder")
    return load(reference, Path())


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _import_file(place: str, folder: Path) -> ModuleType:
    folder = folder.resolve()
    # By name, not through links: a mounted ConfigMap's files are links into a folder whose name has dots.
    path = Path(os.path.normpath(folder / place))
    if not path.is_relative_to(folder):
        raise UserCodeError(f"{place} lies outside the experiment's folder {folder}")
    if not path.is_file():
        raise UserCodeError(f"there is no {place} in {folder}")
    parts = path.relative_to(folder).with_suffix("").parts
    return importlib.import_module(".".join((install(folder), *parts)))


def _import_installed(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        # Only a missing `place` is a wrong reference; a module that it needs is its own affair.
        if error.name is None or not (place + ".").startswith(error.name + "."):
            raise
        raise UserCodeError(f"there is no installed module {place!r}: {error}") from error


if VARIABLE in os.environ:
    install(Path(os.environ[VARIABLE]))
