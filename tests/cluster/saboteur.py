"""What breaks pods from outside: a pod on every node that sees the node's processes, and kills some of them.

`kubectl` cannot do what an OOM kill or a frozen machine does. The pods that are hit have no part in it.
"""

import json
from dataclasses import dataclass
from typing import Any

from tests.cluster.kubectl import Kubectl

NAMESPACE = "perdure-test-saboteur"
_LABEL = "perdure-test-saboteur"

FREEZE_SECONDS = 300
"""How long a file may take to appear."""

# Runs on the node. Processes are known by the container's id in their cgroups' names.
_LIBRARY = """
import os, signal, sys, time

def processes(container):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup") as cgroup:
                if container in cgroup.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found

def parent_and_start(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[1]), int(fields[19])

def first(container):
    own = processes(container)
    return next(pid for pid in own if parent_and_start(pid)[0] not in own)

def training(container):
    # The oldest child of the supervisor trains; what it has beside that is a standby.
    supervisor = first(container)
    children = [pid for pid in processes(container) if parent_and_start(pid)[0] == supervisor]
    return min(children, key=lambda pid: parent_and_start(pid)[1])
"""
_KILL_ALL = """
for pid in [first(sys.argv[1]), *processes(sys.argv[1])]:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
print(time.time())
"""
_KILL_TRAINING = """
os.kill(training(sys.argv[1]), signal.SIGKILL)
print(time.time())
"""
_FREEZE_ONCE_THERE = """
victim = first(sys.argv[1])
path = f"/proc/{first(sys.argv[2])}/root/{sys.argv[3]}"
print("waiting", flush=True)
# Between the commit and the last exit lie tens of milliseconds; looking all the time would slow the run down.
while not os.path.exists(path):
    time.sleep(0.001)
os.kill(victim, signal.SIGSTOP)
print(time.time())
"""


@dataclass(frozen=True)
class Saboteur:
    """Reaches the processes of pods.

    Attributes:
        admin: May do everything.
    """

    admin: Kubectl

    @classmethod
    def installed(cls, admin: Kubectl, image: str) -> "Saboteur":
        """Brings it to every node, unless it is there.

        Args:
            admin: May do everything.
            image: One that is on the nodes and has Python: that of the runs.
        """
        admin = admin.within(NAMESPACE)
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        admin.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        )
        admin.apply(_daemon_set(image))
        admin.run("rollout", "status", f"daemonset/{_LABEL}", "--timeout=90s")
        return cls(admin)

    def kill_container(self, pod: dict[str, Any]) -> float:
        """Kills all processes of a pod's container at once; returns when, in seconds since 1970."""
        return self._run(pod, _KILL_ALL, container_id(pod))

    def kill_training_process(self, pod: dict[str, Any]) -> float:
        """Kills the process that trains; returns when, in seconds since 1970."""
        return self._run(pod, _KILL_TRAINING, container_id(pod))

    def freeze_once_there(self, pod: dict[str, Any], beside: dict[str, Any], path: str) -> float:
        """Stops a pod's first process as soon as a file is there in another pod of the same node.

        Args:
            pod: Whose first process is stopped.
            beside: Where the file will be.
            path: Its path in that pod.

        Returns:
            When, in seconds since 1970.
        """
        assert pod["spec"]["nodeName"] == beside["spec"]["nodeName"]
        containers = container_id(pod), container_id(beside)
        return self._run(pod, _FREEZE_ONCE_THERE, *containers, path, seconds=FREEZE_SECONDS)

    def _run(self, pod: dict[str, Any], script: str, *arguments: str, seconds: float = 120) -> float:
        node = pod["spec"]["nodeName"]
        own = next(
            each
            for each in self.admin.items("pods", f"app={_LABEL}")
            if each["spec"]["nodeName"] == node and each["status"]["phase"] == "Running"
        )
        command = ["python3.13", "-c", _LIBRARY + script, *arguments]
        # Ended on the node too when nobody waits any more.
        limit = ["timeout", f"{seconds:g}"]
        output = self.admin.run("exec", own["metadata"]["name"], "--", *limit, *command, seconds=seconds + 30)
        return float(output.split()[-1])


def container_id(pod: dict[str, Any]) -> str:
    """The runtime's id of a pod's one container."""
    (status,) = pod["status"]["containerStatuses"]
    identity: str = status["containerID"].partition("://")[2]
    assert identity, json.dumps(status)
    return identity


def _daemon_set(image: str) -> dict[str, Any]:
    container = {
        "name": "saboteur",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3.13", "-c", "import signal; signal.pause()"],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }
    template = {
        "metadata": {"labels": {"app": _LABEL}},
        "spec": {
            "hostPID": True,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": _LABEL},
        "spec": {"selector": {"matchLabels": {"app": _LABEL}}, "template": template},
    }
