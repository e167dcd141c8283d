"""The nodes of the cluster, and how one of them is lost and comes back."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster.kubectl import Kubectl, Object


@dataclass(frozen=True)
class Nodes:
    """Drains nodes, and has them lost.

    Attributes:
        admin: May do everything.
        off: Command that ends a node as a power failure would; its name is appended.
        on: Command that brings all nodes back.
    """

    admin: Kubectl
    off: Sequence[str]
    on: Sequence[str]

    def names(self) -> list[str]:
        """All nodes that take pods; those of the control plane first, which must not be lost."""
        found = [each for each in self.admin.items("nodes") if _takes_pods(each)]
        return [each["metadata"]["name"] for each in sorted(found, key=lambda each: not _is_control(each))]

    def two(self) -> tuple[str, str]:
        """A node that stays, and one that may be lost; skips the test where there is only one."""
        names = self.names()
        if len(names) < 2:
            pytest.skip("needs a cluster with two nodes that take pods")
        return names[0], names[-1]

    @contextmanager
    def cordoned(self, *names: str) -> Iterator[None]:
        """Keeps new pods away from nodes for a while."""
        self.admin.run("cordon", *names)
        try:
            yield
        finally:
            self.admin.run("uncordon", *names)

    @contextmanager
    def with_resource(self, name: str, amount: int) -> Iterator[None]:
        """Gives one node an extended resource for a while, of which pods take what they ask for."""
        node = self.names()[0]
        path = "/status/capacity/" + name.replace("/", "~1")
        self._patch_status(node, {"op": "add", "path": path, "value": str(amount)})
        self.admin.until(
            f"{name} on {node}",
            "nodes",
            "",
            lambda nodes: any(name in each["status"]["allocatable"] for each in nodes),
            60,
        )
        try:
            yield
        finally:
            self._patch_status(node, {"op": "remove", "path": path})

    def _patch_status(self, node: str, *operations: Mapping[str, str]) -> None:
        patch = json.dumps(operations)
        self.admin.run("patch", "node", node, "--subresource=status", "--type=json", f"--patch={patch}")

    @contextmanager
    def lost(self, name: str) -> Iterator[None]:
        """Loses a node, and brings it back at the end."""
        try:
            subprocess.run([*self.off, name], check=True, stdout=subprocess.DEVNULL, timeout=60)
            yield
        finally:
            subprocess.run(self.on, check=True, stdout=subprocess.DEVNULL, timeout=180)
            # It is ready a moment before pods are let on it again.
            self.admin.until(f"node {name} takes pods", "nodes", "", lambda nodes: _is_back(name, nodes), 120)


def _is_back(name: str, nodes: Iterable[Object]) -> bool:
    return any(each["metadata"]["name"] == name and _is_ready(each) and _takes_pods(each) for each in nodes)


def _is_ready(node: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])


def _takes_pods(node: Object) -> bool:
    taints = node["spec"].get("taints", [])
    return not any(each["effect"] in ("NoSchedule", "NoExecute") for each in taints)


def _is_control(node: Object) -> bool:
    return "node-role.kubernetes.io/control-plane" in node["metadata"].get("labels", {})
