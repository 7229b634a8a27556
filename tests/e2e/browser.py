"""Plays manifests and films in headless Chromium, and returns what it reports.

hls.js plays playlists, and dash.js plays MPDs. The browser reads only from loopback addresses. Debian's Chromium can decode
H.264 and AAC; a build without these decoders reports that it cannot play the film.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

FOLDER = Path(__file__).with_name("javascript")
PLAY_SECONDS = 300


def chromium() -> str:
    """Returns the path of Chromium. Skips the test if it is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed: install it, for example with `apt-get install chromium`")
    return program


def browser() -> str:
    """Returns the path of Chromium. Skips the test if it or the players are not installed."""
    program = chromium()
    if not (FOLDER / "node_modules" / "dashjs").is_dir():
        pytest.skip("the players are not installed: install Node.js 20 or newer with npm, then run `make node`")
    return program


class _Handler(SimpleHTTPRequestHandler):
    results: queue.Queue[dict]

    def translate_path(self, path: str) -> str:
        own = {f"/{page}.html": FOLDER / f"{page}.html" for page in ("player", "dash_player", "film", "colour")}
        own["/hls.js"] = FOLDER / "node_modules/hls.js/dist/hls.js"
        own["/dash.js"] = FOLDER / "node_modules/dashjs/dist/modern/umd/dash.all.min.js"
        return str(own.get(path.split("?")[0], super().translate_path(path)))

    def do_GET(self) -> None:  # noqa: N802
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        file = Path(self.translate_path(self.path))
        if asked is None or not file.is_file():
            super().do_GET()
            return
        first, size = int(asked[1]), file.stat().st_size
        last = min(int(asked[2] or size - 1), size - 1)
        with file.open("rb") as opened:
            opened.seek(first)
            body = opened.read(last - first + 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.results.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def play(folder: Path, playlist: str, profile: Path) -> dict:
    """Plays a playlist or an MPD in `folder` to its end. `profile` is an empty folder for the browser."""
    page = "dash_player.html" if playlist.endswith(".mpd") else "player.html"
    return _visit(browser(), folder, f"{page}?playlist=/{quote(playlist)}", profile)


def play_film(url: str, profile: Path) -> dict:
    """Plays the film at a URL to its end, in a page with a plain video element."""
    profile.mkdir(parents=True, exist_ok=True)
    return _visit(chromium(), profile, f"film.html?film={quote(url, safe='')}", profile)


def colours_of(films: list[Path], profile: Path) -> dict[str, tuple[int, int, int]]:
    """Returns the colour in the middle of each film as the browser shows it, by the film's name. All are in one folder."""
    profile.mkdir(parents=True, exist_ok=True)
    named = quote(json.dumps([f"/{quote(film.name)}" for film in films]), safe="")
    seen = _visit(chromium(), films[0].parent, f"colour.html?films={named}", profile)
    return {film.name: tuple(seen[f"/{quote(film.name)}"]) for film in films}


def _visit(program: str, folder: Path, page: str, profile: Path) -> dict:
    """Opens a page in the browser, waits for its report, and returns it."""
    results: queue.Queue[dict] = queue.Queue()
    handler = type("Handler", (_Handler,), {"results": results})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{page}"
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", f"--user-data-dir={profile}"]
    options += ["--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage", "--no-first-run"]
    process = subprocess.Popen(
        [program, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return results.get(timeout=PLAY_SECONDS)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        server.shutdown()
