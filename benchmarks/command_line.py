"""The command line: wall time of `--help` and `validate` beside a Python that does nothing."""

import sys
from functools import partial

from benchmarks.comparison import Comparison, alternating
from benchmarks.processes import output, seconds

_COMMANDS = (
    ("`perdure --help`", ("-m", "launcher", "--help"), 0.2),
    ("`perdure validate experiments/digits`", ("-m", "launcher", "validate", "experiments/digits"), 0.5),
)
_HEAVY = ("tensorflow", "keras", "sklearn", "numpy")


def measure(pairs: int) -> tuple[list[Comparison], list[str]]:
    """The comparisons, and what importing the launcher loads."""
    found = []
    for name, arguments, limit in _COMMANDS:
        ours_once = partial(seconds, (sys.executable, *arguments))
        ours_once()  # compiles what has never been imported
        timings = list(alternating(pairs, ours_once, partial(seconds, (sys.executable, "-c", "pass"))))
        ours, theirs = zip(*timings, strict=True)
        found.append(Comparison(name, ours, "`python -c pass`", theirs, limit_seconds=limit))
    loaded = _loaded_by("import launcher, launcher.__main__")
    return found, [f"`import launcher` loads {', '.join(loaded) or 'none'} of {', '.join(_HEAVY)}."]


def _loaded_by(statement: str) -> list[str]:
    code = f"{statement}; import sys; print(*[name for name in {_HEAVY!r} if name in sys.modules])"
    return output(sys.executable, "-c", code).split()
