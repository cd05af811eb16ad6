"""A page in a real browser: Chromium without a window, driven through its DevTools protocol.

Messages are JSON that ends with NUL, on two pipes (``--remote-debugging-pipe``): nothing listens on
the network.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time

PATH = shutil.which("chromium") or shutil.which("google-chrome")
KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27, "Home": 36,
    "End": 35, "Tab": 9, "Enter": 13,
}  # fmt: skip


class Page:
    """One page; use it with ``with``.

    Args:
        url: Of the page.
        profile: A folder that the browser may fill; pages with the same one share what they keep.
        width: Pixels.
        height: Pixels.
    """

    def __init__(self, url, profile, *, width=1000, height=900):
        self.url, self.profile, self.width, self.height = url, profile, width, height
        self.events = []
        self._number = 0
        self._rest = b""

    def __enter__(self):
        there, self._out = os.pipe()
        self._in, here = os.pipe()
        command = [
            PATH, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank",
        ]  # fmt: skip

        self._process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{there} 4>&{here}; exec "$@"', "browser", *command],
            pass_fds=(there, here),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(here)
        self._session = None
        try:
            target = self("Target.createTarget", url="about:blank")["targetId"]
            self._session = self("Target.attachToTarget", targetId=target, flatten=True)[
                "sessionId"
            ]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self(f"{domain}.enable")
            self.size(self.width, self.height)
            self.go(self.url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._session = None
            self("Browser.close")
            self._process.wait(10)
        except Exception:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def __call__(self, method, **params):
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            told = self._receive()
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]

    def _receive(self, seconds=30):
        limit = time.monotonic() + seconds
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, limit - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self._in, 1 << 16)
            if not got:
                raise RuntimeError("the browser is gone")
            self._rest += got
        message, _, self._rest = self._rest.partition(b"\0")
        told = json.loads(message)
        if "method" in told:
            self.events.append(told)
        return told

    def go(self, url):
        """Open an address and wait until it is there."""
        seen = len(self.events)
        self("Page.navigate", url=url)
        while not any(e["method"] == "Page.loadEventFired" for e in self.events[seen:]):
            self._receive()

    def wait(self, until, seconds=10):
        """Wait until a function returns something true."""
        limit = time.monotonic() + seconds
        while not until():
            if time.monotonic() > limit:
                raise TimeoutError(f"not within {seconds} s")
            time.sleep(0.02)

    def size(self, width, height, mobile=False, scale=1):
        """Set the size of the window."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=mobile,
        )  # fmt: skip

    def dark(self, on=True):
        """Prefer dark colours, or light ones."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self("Emulation.setEmulatedMedia", features=features)

    def run(self, script):
        """Return the value of an expression; a promise is waited for."""
        told = self(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"])
        return told["result"].get("value")

    def press(self, *keys):
        """Press keys one after the other: characters, or names as in `KEYS`."""
        for key in keys:
            extra = {} if key in KEYS else {"text": key}
            if key == "Enter":
                extra = {"text": "\r"}
            code = KEYS.get(key) or ord(key.upper())
            both = {"key": key, "windowsVirtualKeyCode": code}
            self("Input.dispatchKeyEvent", type="keyDown", **both, **extra)
            self("Input.dispatchKeyEvent", type="keyUp", **both)

    def point(self, x, y):
        """Move the mouse."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path, selector=None):
        """Save a PNG of the whole page, or of one element."""
        box = self.run(
            "(() => { const r = (%s).getBoundingClientRect(); return [r.x + scrollX, r.y + scrollY,"
            " r.width, r.height]; })()"
            % (f"document.querySelector({json.dumps(selector)})" if selector else "document.body")
        )
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        shot = self("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """Return what went wrong on the page: exceptions, errors of the console, of its loading."""
        self.run("1")  # events that are on their way arrive before the answer
        bad = []
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown" or (
                method == "Log.entryAdded" and params["entry"]["level"] == "error"
            ):
                bad.append(params)
            if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                bad.append(params)
        return bad

    def requests(self):
        """Return the addresses that were asked for."""
        self.run("1")
        asked = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]
