"""Measures a command's wall time, CPU time and memory.

If the command fails, the benchmark exits with its error output. No shell is involved.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path


def timed(command: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Returns wall seconds, CPU seconds of the whole process tree, memory of its largest process in MiB, and stdout."""
    with (folder / "stdout").open("w+b") as stdout, (folder / "stderr").open("w+b") as stderr:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        if process.returncode != 0:
            sys.exit(f"`{shlex.join(command)}` failed:\n{stderr.read().decode(errors='replace')}")
        stdout.seek(0)
        return wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, stdout.read().decode(errors="replace")
