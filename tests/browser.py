"""A real browser for pages: headless Chromium, spoken to over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.sync.client import ClientConnection, connect

_START_SECONDS_MAX = 60
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0")


def find_chromium() -> str:
    """The browser's program; skips the test where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here: `make browser` installs it where it may, or name one in CHROMIUM")
    return found


class Page:
    """One tab. `complaints` are uncaught errors and console errors, in order; `requests` the addresses it asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._id = 0
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Runtime", "Log", "Page", "Network"):
            self._call(f"{domain}.enable")

    def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False) -> None:
        """Open a page and wait until it says that it is ready, or that it failed."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[theme])
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self._loaded = False
        self._call("Page.bringToFront")  # a tab in the background draws no frames
        self._call("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._note(json.loads(self._socket.recv(timeout=60)))
        self.until("document.documentElement.dataset.ready || document.documentElement.dataset.failed")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise; what it throws fails the test."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait, frame by frame, for a condition of the page; it fails after half a minute."""
        waiting = "new Promise((done) => { const end = performance.now() + 30000, look = () => (%s) ? done(true) : performance.now() > end ? done(false) : setTimeout(look, 20); look(); })"
        assert self.run(waiting % condition), f"never became true: {condition}"

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._id:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(parameters["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning"}:
                self.complaints.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(parameters["entry"]["text"])
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case _:
                pass


class Browser:
    """`with Browser(folder) as browser: page = browser.page()`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sockets = ExitStack()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [find_chromium(), *_FLAGS, f"--user-data-dir={self._folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._address = self._wait_for_port()
        return self

    def __exit__(self, *_: object) -> None:
        self._sockets.close()
        self._process.terminate()
        self._process.wait()

    def page(self) -> Page:
        import httpx

        target = httpx.put(f"http://{self._address}/json/new?about:blank", timeout=30, trust_env=False).json()
        return Page(self._sockets.enter_context(connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None)))

    def _wait_for_port(self) -> str:
        """The browser writes the port it chose into its folder."""
        file = self._folder / "DevToolsActivePort"
        deadline = time.monotonic() + _START_SECONDS_MAX
        while time.monotonic() < deadline:
            if file.exists() and (lines := file.read_text().split()):
                return f"127.0.0.1:{lines[0]}"
            assert self._process.poll() is None, "Chromium ended before it listened"
            time.sleep(0.05)
        raise AssertionError("Chromium did not start to listen")
