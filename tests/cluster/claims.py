"""Looks into the claim that a team's runs lie in, by a pod that mounts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cluster.small_pods import run_pod
from tests.cluster.training_runs import Team

CLAIM = "perdure-runs"
"""Where runs lie unless their experiment says otherwise."""
_POD = "reader"
_FOLDER = "/claim"

_AGE = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for path in [folder, *(os.path.join(folder, name) for name in names)]:
        moment = os.stat(path).st_mtime - float(sys.argv[2])
        os.utime(path, (moment, moment))
"""


@dataclass(frozen=True)
class Claim:
    """An open claim.

    Attributes:
        team: Whose it is.
    """

    team: Team

    def read(self, path: str) -> str:
        """Content of a file at a path in the claim."""
        return self._python("import sys; print(open(sys.argv[1]).read(), end='')", f"{_FOLDER}/{path}")

    def exists(self, path: str) -> bool:
        script = "import os, sys; print(os.path.exists(sys.argv[1]))"
        return self._python(script, f"{_FOLDER}/{path}").strip() == "True"

    def names(self, path: str) -> list[str]:
        """Names of what is in a folder."""
        return self._python("import os, sys; print(*os.listdir(sys.argv[1]))", f"{_FOLDER}/{path}").split()

    def age(self, path: str, seconds: float) -> None:
        """Makes everything below a path so many seconds older."""
        self._python(_AGE, f"{_FOLDER}/{path}", str(seconds))

    def _python(self, script: str, *arguments: str) -> str:
        return self.team.admin.run("exec", _POD, "--", "python3.13", "-c", script, *arguments)


@contextmanager
def open_claim(team: Team, node: str = "") -> Iterator[Claim]:
    """Mounts a team's claim for a while.

    Args:
        team: Whose it is.
        node: On which node, as a volume may be tied to one; any where empty.
    """
    spec = {
        "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": CLAIM}}],
        "mounts": [{"name": "claim", "mountPath": _FOLDER}],
    }
    with run_pod(team, _POD, "import signal; signal.pause()", node=node, **spec):
        team.admin.run("wait", "--for=condition=Ready", f"pod/{_POD}", "--timeout=60s")
        yield Claim(team)
