"""Does a program that uses AWS's SDK for JavaScript run unchanged? 
It uploads, creates, lists, searches, cancels, tags and reads errors.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Server

FOLDER = Path(__file__).with_name("javascript")
WALK_SECONDS = 180


def node() -> str:
    """Returns the path of Node.js. Skips the test if it or the script's packages are missing."""
    program = shutil.which("node")
    if program is None or not (FOLDER / "node_modules" / "@aws-sdk").is_dir():
        pytest.skip("Node.js 20 or the packages of tests/e2e/javascript are missing: `make e2e` installs them")
    return program


def test_javascript_sdk_runs_unchanged(server: Server, clips: Clips) -> None:
    program = node()
    server.s3.create_bucket(Bucket="from-js")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    where = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": "us-east-1"}
    clip = clips.file(Clip(width=320, height=180, frames=50))
    done = subprocess.run(
        [program, "walk.mjs", str(clip), "from-js"], cwd=FOLDER, env={**os.environ, **keys, **where},
        capture_output=True, text=True, timeout=WALK_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["largeBytes"] == 12 * 1024 * 1024 and seen["endpoints"] == 1
    assert (seen["largeParts"], seen["largeIsTheSame"]) == (3, True)
    assert seen["presets"] == ["from-js"] and sorted(seen["queues"]) == ["Default", "js"]
    assert (seen["canceled"], seen["queue"]) == ("CANCELED", "ACTIVE")
    assert (seen["noPreset"], seen["noQueue"]) == ("NotFoundException", "NotFoundException")
    assert seen["probe"] == ["AVC", "AAC"] and seen["preset"] == "changed"
    assert (seen["status"], seen["createdAt"], seen["labels"]) == ("COMPLETE", True, {"from": "js"})
    assert seen["renditionBytes"] > 1000 and seen["tags"] == {"b": "2"}
    assert seen["listedAll"] and seen["found"]
    assert (seen["invalid"]["name"], seen["invalid"]["status"]) == ("BadRequestException", 400)
    assert "/inputs: Should have at least 1 items" in seen["invalid"]["message"]
    assert (seen["unknown"]["name"], seen["unknown"]["status"]) == ("NotFoundException", 404)
