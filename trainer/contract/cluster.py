"""Who trains together: the cluster, and the TF_CONFIG that TensorFlow reads it from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLE = "TF_CONFIG"


@dataclass(frozen=True)
class Cluster:
    """The workers of a run, as one of them sees it.

    Attributes:
        addresses: `host:port` of each worker, in order; worker 0 is the chief.
        worker: Zero-based number of the worker whose view this is.
    """

    addresses: tuple[str, ...]
    worker: int

    def __post_init__(self) -> None:
        if not 0 <= self.worker < len(self.addresses):
            raise ValueError(f"worker {self.worker} is not one of the {len(self.addresses)} of this cluster")

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes what the run leaves behind."""
        return self.worker == 0


def to_tf_config(cluster: Cluster) -> str:
    """Writes a cluster as TensorFlow expects it in the variable TF_CONFIG; `from_tf_config` reads it back."""
    task = {"type": "worker", "index": cluster.worker}
    return json.dumps({"cluster": {"worker": list(cluster.addresses)}, "task": task})


def from_tf_config(environment: Mapping[str, str]) -> Cluster | None:
    """Reads what `to_tf_config` or another launcher wrote.

    Args:
        environment: The process's environment variables.

    Returns:
        The cluster, or None where the variable is unset or empty: a process that trains alone.

    Raises:
        ValueError: The variable is no valid TF_CONFIG, or names tasks other than workers.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return None
    try:
        config = json.loads(text)
        roles, task = config["cluster"], config["task"]
        if set(roles) != {"worker"} or task["type"] != "worker":
            raise ValueError(f"only workers are supported, received {sorted(roles)} and {task['type']!r}")
        return Cluster(tuple(str(address) for address in roles["worker"]), int(task["index"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{VARIABLE} is not valid: {error}; received {text!r}") from error
