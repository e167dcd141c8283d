"""A Chromium without a window: what it shows of a page, and what it asks the network for."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 60.0
"""How long an answer is waited for, on a machine that does much else."""

# Names are not resolved, so that whatever is asked for by mistake stays on this machine.
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe",
)  # fmt: skip


def chromium() -> str | None:
    """The program; None where there is none on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass
class Page:
    """One page.

    Attributes:
        requests: URLs that were asked for.
        complaints: What stands in the console.
    """

    _browser: Browser
    _session: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the DevTools protocol."""
        return self._browser.call(method, parameters, self)

    def look(self, url: str, width: int, height: int, *, dark: bool) -> None:
        """Opens a URL as somebody has it on a screen of that size."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        end = time.monotonic() + SECONDS
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < end, "the page is never complete"

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Keeps what the screen shows."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def told(self, message: dict[str, Any]) -> None:
        """Takes an event of the protocol."""
        parameters = message["params"]
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message["method"] == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif message["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(parameters))

    @property
    def session(self) -> str:
        return self._session


class Browser:
    """The process."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._number = 0
        self._rest = b""

    def page(self) -> Page:
        """A new page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        return Page(self, attached["sessionId"])

    def call(self, method: str, parameters: dict[str, Any], page: Page | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if page is not None:
            message["sessionId"] = page.session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            if page is not None and answer.get("sessionId") == page.session and "method" in answer:
                page.told(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._reads, 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Browser]:
    """Starts a browser, and ends it."""
    asked, asks = os.pipe()
    answers, answered = os.pipe()
    # Out of the way of 3 and 4, where it reads what it is asked, and answers.
    high, higher = (fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (asked, answered))

    def connect() -> None:
        os.dup2(high, 3)
        os.dup2(higher, 4)

    process = subprocess.Popen(
        [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(3, 4), preexec_fn=connect,  # noqa: PLW1509 - it only duplicates descriptors
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for each in (asked, answered, high, higher):
        os.close(each)
    try:
        yield Browser(answers, asks)
    finally:
        os.close(asks)
        process.terminate()
        process.wait(SECONDS)
        os.close(answers)
