#!/usr/bin/env python3
"""Extracts the facts of AWS's MediaConvert service model from the installed botocore, without its documentation text.

Writes names, types, enums, ranges, patterns and paths to mediaconvert.json beside this file, one member per line. It
never copies a sentence of the model's documentation.

    python3 -m pip install botocore==1.43.11 && python3 codegen/extract.py
"""
import gzip
import json
import pathlib

import botocore

KEPT = ("type", "required", "enum", "min", "max", "pattern", "locationName", "location", "timestampFormat")


def shape(source):
    kept = {key: source[key] for key in KEPT if key in source}
    for nested in ("member", "key", "value"):
        if nested in source:
            kept[nested] = source[nested]["shape"]
    if "members" in source:
        kept["members"] = {
            name: {key: value for key, value in member.items() if key in ("shape", "location", "locationName")}
            for name, member in source["members"].items()
        }
    return kept


def operation(source):
    return {
        "method": source["http"]["method"],
        "path": source["http"]["requestUri"],
        "status": source["http"].get("responseCode", 200),
        "input": source["input"]["shape"],
        "output": source["output"]["shape"],
        "errors": [error["shape"] for error in source.get("errors", [])],
    }


def main():
    data = pathlib.Path(botocore.__file__).parent / "data/mediaconvert/2017-08-29/service-2.json.gz"
    model = json.loads(gzip.decompress(data.read_bytes()))
    extract = {
        "source": f"botocore {botocore.__version__}, mediaconvert {model['metadata']['apiVersion']}, without its prose",
        "operations": {name: operation(value) for name, value in sorted(model["operations"].items())},
        "shapes": {name: shape(value) for name, value in sorted(model["shapes"].items())},
    }
    target = pathlib.Path(__file__).with_name("mediaconvert.json")
    target.write_text(json.dumps(extract, indent=1) + "\n")


if __name__ == "__main__":
    main()
