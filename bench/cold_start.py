"""Measures how much the function transcode-video itself adds to a cold start.

Uses deploy/dist/transcode-video-x86_64.zip, which `make functions` builds. A small server acts as Lambda's runtime API. Each round
starts the program anew and gives it one S3 test event. Prints medians in milliseconds, from the start of the process to its first
request for an event, and to its answer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ZIP = Path(__file__).resolve().parents[1] / "deploy" / "dist" / "transcode-video-x86_64.zip"
EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}
LIMIT_SECONDS = 20


class Runtime(ThreadingHTTPServer):
    """Lambda's runtime API for one start of a function: one event and no more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked_at: float | None = None
        self.answered = threading.Event()
        self.answered_at = 0.0

    def handle_error(self, *_: object) -> None:
        """Ignores errors: the function is killed while it asks for a second event."""


class Handler(BaseHTTPRequestHandler):
    """Delivers the event and receives the response."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """`GET …/invocation/next`."""
        if self.server.asked_at is not None:
            threading.Event().wait(LIMIT_SECONDS)
            return
        self.server.asked_at = time.perf_counter()
        body = json.dumps(EVENT).encode()
        self.send_response(200)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "00000000-0000-0000-0000-000000000001",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 60_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:111122223333:function:transcode-video",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """`POST …/response`."""
        self.server.answered_at = time.perf_counter()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if self.path.endswith("/response"):
            self.server.answered.set()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def cold_start(folder: Path) -> tuple[float, float]:
    """Returns the milliseconds from the start to the first request, and to the answer."""
    runtime = Runtime()
    threading.Thread(target=runtime.serve_forever, daemon=True).start()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_port}",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_LAMBDA_FUNCTION_NAME": "transcode-video",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "LAMBDA_TASK_ROOT": str(folder),
        "ABANICO_ROLE_ARN": "arn:aws:iam::111122223333:role/media-convert-role",
        "ABANICO_DESTINATION": "s3://renditions/{key}/",
        "ABANICO_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/111122223333/dead",
        "PATH": os.environ["PATH"],
    }
    started = time.perf_counter()
    process = subprocess.Popen([str(folder / "bootstrap")], env=environment, stderr=subprocess.DEVNULL)
    try:
        if not runtime.answered.wait(LIMIT_SECONDS):
            sys.exit("cold_start: the function did not answer")
    finally:
        process.kill()
        process.wait()
        runtime.shutdown()
        runtime.server_close()
    return (runtime.asked_at - started) * 1000, (runtime.answered_at - started) * 1000


def main() -> None:
    """Measures and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="starts to measure (default: 20)")
    rounds = parser.parse_args().rounds
    if not ZIP.exists():
        sys.exit(f"cold_start: {ZIP.name} is missing: run `make functions`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(ZIP) as zipped:
            zipped.extractall(folder)
        (folder / "bootstrap").chmod(0o755)
        times = [cold_start(folder) for _ in range(rounds)]
        size = (folder / "bootstrap").stat().st_size
    print(f"transcode-video: {size:,} bytes, {ZIP.stat().st_size:,} zipped; {rounds} starts")
    for name, column in (("first request for an event", 0), ("first answer", 1)):
        values = sorted(one[column] for one in times)
        print(f"{name}: median {statistics.median(values):.1f} ms, worst {values[-1]:.1f} ms")


if __name__ == "__main__":
    main()
