"""A real browser that a test drives: it clicks, types, reads pages and takes pictures.

Headless Chromium is told what to do over a pipe (the DevTools protocol), so no driver and no port is needed. All pages share one
profile, as in a person's browser: cookies, but not the storage of other tabs.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from browser import chromium

ANSWER_SECONDS = 60


class Browser:
    """Headless Chromium with one profile."""

    def __init__(self, folder: Path) -> None:
        """Starts the browser; it writes only into `folder`."""
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        pipes = [*os.pipe(), *os.pipe()]
        # Far away from the numbers that the shell below gives them.
        told, self._tell, self._hear, heard = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for end in pipes)
        for end in pipes:
            os.close(end)
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank"]
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        moved = f'exec "$@" 3<&{told} 4>&{heard}'
        self._process = subprocess.Popen(
            ["bash", "-c", moved, "bash", chromium(), *options], pass_fds=(told, heard),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(told)
        os.close(heard)
        self._number, self._rest = 0, b""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def close(self) -> None:
        """Ends the browser and all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        os.close(self._tell)
        os.close(self._hear)

    def call(self, method: str, session: str | None = None, **params: object) -> dict:
        """Sends a command and returns its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._tell, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _message(self) -> dict:
        while b"\0" not in self._rest:
            part = os.read(self._hear, 65536)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url: str) -> Page:
        """Opens a page in a tab of its own."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        page.go(url)
        return page


class Page:
    """A tab of the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        """Takes a tab that the browser has opened."""
        self._browser, self._session = browser, session

    def go(self, url: str) -> None:
        """Goes to an address."""
        self._browser.call("Page.navigate", self._session, url=url)

    def run(self, script: str) -> object:
        """Runs an expression in the page and returns its value; waits for promises."""
        done = self._browser.call(
            "Runtime.evaluate", self._session, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, f"{script}: {done['exceptionDetails']}"
        return done["result"].get("value")

    def wait(self, condition: str, seconds: float = ANSWER_SECONDS) -> object:
        """Waits until an expression is true in the page and returns its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.run(condition)
            except AssertionError:
                # The page is being replaced.
                value = None
            if value:
                return value
            assert time.monotonic() < end, f"{condition}: not within {seconds} s; the page shows {self.text()!r}"
            time.sleep(0.1)

    def look(self, width: int, scheme: str) -> None:
        """Makes the page as wide as this, and light or dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._browser.call("Emulation.setDeviceMetricsOverride", self._session, **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._browser.call("Emulation.setEmulatedMedia", self._session, features=features)

    def text(self) -> str:
        """What a person reads on the page."""
        return self.run("document.body ? document.body.innerText : ''")

    def picture(self, file: Path) -> Path:
        """Takes a picture of the page."""
        shot = self._browser.call("Page.captureScreenshot", self._session, format="png")
        file.write_bytes(base64.b64decode(shot["data"]))
        return file
