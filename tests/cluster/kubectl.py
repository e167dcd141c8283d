"""kubectl as the tests use it: plain data in and out, and waiting for a condition by a watch."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

Object = dict[str, Any]
Found = TypeVar("Found")

PATHS = {
    "pods": "/api/v1",
    "events": "/api/v1",
    "configmaps": "/api/v1",
    "jobs": "/apis/batch/v1",
    "nodes": "/api/v1",
}
"""Where the API serves what is watched."""


class NotInTimeError(AssertionError):
    """What was waited for did not come."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig, in one namespace.

    Attributes:
        kubeconfig: Whose credentials are used.
        namespace: Where objects are looked for.
    """

    kubeconfig: str
    namespace: str = "default"

    def within(self, namespace: str) -> "Kubectl":
        return replace(self, namespace=namespace)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": self.kubeconfig}

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", "--namespace", self.namespace, *arguments]

    def attempt(
        self, *arguments: str, stdin: str = "", seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl, whatever comes of it."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=self.environment(),
        )

    def run(self, *arguments: str, stdin: str = "", seconds: float = 120) -> str:
        """Runs kubectl, which has to succeed."""
        ended = self.attempt(*arguments, stdin=stdin, seconds=seconds)
        assert ended.returncode == 0, f"kubectl {' '.join(arguments)}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output=json"))

    def items(self, resource: str, selector: str = "") -> list[Object]:
        found: list[Object] = self.json("get", resource, f"--selector={selector}")["items"]
        return found

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """Makes or changes objects, on the server's side."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.run("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)

    def path(self, resource: str, **query: str) -> str:
        space = "" if resource == "nodes" else f"/namespaces/{self.namespace}"
        return f"{PATHS[resource]}{space}/{resource}?{urlencode(query)}"

    def until(
        self,
        what: str,
        resource: str,
        selector: str,
        condition: Callable[[list[Object]], Found],
        seconds: float,
    ) -> Found:
        """Waits for a condition on objects, which is looked at after each change of one of them.

        Args:
            what: What is waited for, in words.
            resource: What kind of objects, in the plural.
            selector: Which of them, by their labels.
            condition: Given all of them; what it returns is returned, once that is true.
            seconds: How long to wait.

        Raises:
            NotInTimeError: It did not come; the message shows the objects' status.
        """
        objects: dict[str, Object] = {}
        deadline = time.monotonic() + seconds
        # A server may end a watch before its time.
        while (left := deadline - time.monotonic()) > 0:
            with self.watch(resource, selector, left) as states:
                for objects in states:
                    if found := condition(list(objects.values())):
                        return found
        shown = json.dumps([_shown(each) for each in objects.values()], indent=1)
        raise NotInTimeError(f"not within {seconds:.0f} s: {what}\n{shown}")

    @contextmanager
    def watch(self, resource: str, selector: str, seconds: float) -> Iterator[Iterator[dict[str, Object]]]:
        """Gives the objects by name as they are now, and again after each change, for so many seconds."""
        first = json.loads(self.run("get", "--raw", self.path(resource, labelSelector=selector)))
        query = {
            "labelSelector": selector,
            "watch": "true",
            "resourceVersion": first["metadata"]["resourceVersion"],
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        process = subprocess.Popen(
            self.command("get", "--raw", self.path(resource, **query)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
        )
        # A server that dies with an open connection would keep us here otherwise.
        guard = threading.Timer(seconds + 10, process.kill)
        guard.start()
        try:
            yield _states({each["metadata"]["name"]: each for each in first["items"]}, process)
        finally:
            guard.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def _states(objects: dict[str, Object], watch: subprocess.Popen[str]) -> Iterator[dict[str, Object]]:
    yield objects
    for line in watch.stdout:
        event = json.loads(line)
        if event["type"] == "ERROR":
            raise AssertionError(f"the watch broke off: {event['object']}")
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            objects = {key: value for key, value in objects.items() if key != name}
        else:
            objects = {**objects, name: event["object"]}
        yield objects
    assert watch.wait() in (0, -signal.SIGKILL), f"the watch failed: {watch.stderr.read()}"


def _shown(each: Object) -> Object:
    return {"name": each["metadata"]["name"], "status": each.get("status", {})}
