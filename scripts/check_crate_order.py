#!/usr/bin/env python3
"""Check that each crate uses only crates before it in the order of docs/ARCHITECTURE.md.

In: the Cargo.toml files of crates/. Out: one line for each crate that looks ahead, exit status 1 if there is one.
testkit is for tests: nothing may depend on it but dev-dependencies.
"""
import pathlib
import sys
import tomllib

ORDER = ["media", "captions", "model", "aws", "plan", "estimate", "ffmpeg", "package", "store", "s3", "engine", "lambda", "functions", "deployment", "fleet", "server", "cli"]


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
            wrong.append(f"{crate}: not in the order; add it to docs/ARCHITECTURE.md and here")
            continue
        ahead = [name for name in used if name not in ORDER[: ORDER.index(crate)]]
        wrong += [f"{crate}: uses {name}, which does not stand before it" for name in ahead]
    print("\n".join(wrong) or "crate order: good")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
