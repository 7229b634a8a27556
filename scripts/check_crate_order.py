#!/usr/bin/env python3
"""Checks that each crate uses only crates before it in the order of docs/ARCHITECTURE.md.

Reads the Cargo.toml files of crates/. Prints one line for each dependency on a later crate and exits with status 1 if there is
one. testkit is for tests: it may only be a dev-dependency.
"""
import pathlib
import sys
import tomllib

ORDER = ["media", "captions", "process", "model", "aws", "plan", "estimate", "ffmpeg", "package", "store", "s3", "artifacts", "tasks", "engine", "trigger", "lambda", "deployment", "fleet", "server", "cli"]


def names(table):
    return [name.removeprefix("abanico-") for name in table if name.startswith("abanico-")]


def main():
    wrong = []
    for manifest in sorted(pathlib.Path(__file__).parent.parent.glob("crates/*/Cargo.toml")):
        crate = manifest.parent.name
        used = names(tomllib.loads(manifest.read_text()).get("dependencies", {}))
        if crate == "testkit":
            continue
        if crate not in ORDER:
            wrong.append(f"{crate}: not in the order: add it to docs/ARCHITECTURE.md and to ORDER in scripts/check_crate_order.py")
            continue
        ahead = [name for name in used if name not in ORDER[: ORDER.index(crate)]]
        wrong += [f"{crate}: uses {name}, which does not come before it in the order" for name in ahead]
    print("\n".join(wrong) or "crate order: good")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
