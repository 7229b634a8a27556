"""Does the S3 endpoint of the whole server pass every probe of a stock client?"""

from __future__ import annotations

import os
import subprocess
import sys

from harness import WORKSPACE, Server

PROBES = WORKSPACE / "tests" / "s3_conformance.py"


def test_served_endpoint_passes_every_probe(server: Server) -> None:
    environment = {**os.environ, **server.exports, "S3_PROBE_FUNCTION": "transcode-video"}
    ran = subprocess.run([sys.executable, str(PROBES)], env=environment, capture_output=True, text=True, timeout=300)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len([line for line in ran.stdout.splitlines() if line.strip()]) >= 22, "every probe must report"
