"""What decides the objects of a run: all that rendering is given, and nothing that it could look up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.contract.training import Experiment

_VERSION = re.compile(r"v?(\d+)\.(\d+)([.+-].*)?")


@dataclass(frozen=True, order=True)
class KubeVersion:
    """Version of a Kubernetes server.

    Attributes:
        major: Its first number.
        minor: Its second number.
    """

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "KubeVersion":
        """Reads `1.37` or what a server says, such as `v1.37.2` or `v1.36.0-eks-1a2b3c`.

        Raises:
            ValueError: It is no version.
        """
        found = _VERSION.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"not a version of Kubernetes, received {text!r}, expected such as 1.37")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = KubeVersion(1, 34)
"""The oldest server that runs are rendered for: the first where `podReplacementPolicy` is stable."""

NEWEST = KubeVersion(1, 37)
"""The newest server that rendering was checked against; later ones get what it gets."""

RESTART_RULES = KubeVersion(1, 35)
"""The first server that restarts single containers by their exit code without being told to."""


@dataclass(frozen=True)
class RunPlan:
    """Everything that decides a run on a cluster.

    Attributes:
        experiment: What is trained, with the image in `spec.pod.image`.
        name: Name of the run.
        namespace: Where its objects live.
        code: Content by path of each file that travels with the experiment.
        digest: Of the resolved experiment and these files; pods carry it, supervisors compare it.
        ignored: The reason by code of each finding of preflight that was ignored; no part of the digest.
    """

    experiment: "Experiment"
    name: str
    namespace: str
    code: Mapping[str, bytes]
    digest: str
    ignored: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        # Of what tells plans apart; the rest cannot be hashed.
        return hash((self.name, self.namespace, self.digest))

    @property
    def image(self) -> str:
        """What the pods run.

        Raises:
            ValueError: The experiment was not given its image.
        """
        if self.experiment.spec.pod.image is None:
            raise ValueError("a plan's experiment has its image in spec.pod.image")
        return self.experiment.spec.pod.image
