"""A headless Chromium, driven by its own protocol over a pipe: no driver, no library, no port."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60
"""Seconds for anything that is asked of it."""


class BrowserProblem(Exception):
    """The browser broke, or has not answered; the message says what was asked."""


def browser_program() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


class Tab:
    """One page."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []

    @classmethod
    def opened(cls, to_browser: int, from_browser: int) -> Self:
        tab = cls(to_browser, from_browser)
        target = tab.call("Target.createTarget", url="about:blank")["targetId"]
        tab._session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        return tab

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises BrowserProblem where it refuses, or does not answer."""
        self._number += 1
        session = {} if self._session is None else {"sessionId": self._session}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read(method)).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise BrowserProblem(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def goto(self, url: str) -> None:
        """Load it from nothing, until all of it is there."""
        for address in ("about:blank", url):
            self.events.clear()
            self.call("Page.navigate", url=address)
            while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
                self.events.append(self._read(address))

    def evaluate(self, expression: str) -> Any:
        """What the expression, or the promise that it gives, comes to. Raises BrowserProblem where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserProblem(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    @property
    def requested(self) -> list[str]:
        """The address of everything that was asked for since the last `goto`, the page itself among it."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[str]:
        """Exceptions, and what the browser logged: a policy that was broken, a thing that was not found."""
        thrown = [
            str(event["params"]["exceptionDetails"])
            for event in self.events
            if event.get("method") == "Runtime.exceptionThrown"
        ]
        logged = [
            event["params"]["entry"]["text"]
            for event in self.events
            if event.get("method") == "Log.entryAdded"
        ]
        return thrown + logged

    def _read(self, waiting_for: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self._in, 1 << 20) if ready else b""
            if not more:
                raise BrowserProblem(f"no answer to {waiting_for}")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def chromium(program: str, home: Path) -> Iterator[Tab]:
    """A tab of a browser whose profile is in `home`. It is ended with the block."""
    # It takes commands on descriptor 3 and answers on 4, where a shell puts them; ours are out of its way.
    to_browser, ours_out = _high_pipe()
    ours_in, from_browser = _high_pipe()
    shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
        "--window-size=1280,900", f"--user-data-dir={home}",
    ]  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", program, *options],
        pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Tab.opened(ours_out, ours_in)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_out)
        os.close(ours_in)


def _high_pipe() -> tuple[int, int]:
    """A pipe, to read and to write, of descriptors above those that have a meaning to the browser."""
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low]
    for end in low:
        os.close(end)
    return high[0], high[1]
