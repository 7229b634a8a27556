#!/usr/bin/env python3
"""Extracts the operations of AWS's S3 service model from the installed botocore: their addresses and the names of what a
request may say, without documentation text.

Writes s3.json beside this file, one operation per line. It never copies a sentence of the model's documentation.

    python3 -m pip install botocore==1.43.106 && python3 codegen/extract_s3.py
"""
import gzip
import json
import pathlib

import botocore


def leaves(shapes, name, path, seen=(), is_flat=False):
    """The paths of a document's elements that have a value of their own."""
    shape = shapes[name]
    if name in seen:
        return []
    if shape["type"] == "structure" and shape["members"]:
        members = shape["members"].items()
        return [
            leaf
            for key, member in members
            for leaf in leaves(
                shapes, member["shape"], [*path, member.get("locationName", key)], (*seen, name), member.get("flattened", False)
            )
        ]
    if shape["type"] == "list":
        step = [] if is_flat or shape.get("flattened") else [shape["member"].get("locationName", "member")]
        return leaves(shapes, shape["member"]["shape"], [*path, *step], (*seen, name))
    return [".".join(path)]


def operation(shapes, source):
    path, _, query = source["http"]["requestUri"].partition("?")
    members = shapes[source["input"]["shape"]]["members"] if "input" in source else {}
    found = {
        "method": source["http"]["method"],
        "path": path,
        "marks": [mark.partition("=")[0] for mark in query.split("&") if mark],
        "headers": [],
        "queries": [],
        "document": [],
    }
    for name, member in members.items():
        wire = member.get("locationName", name)
        match member.get("location"):
            case "header" | "headers":
                found["headers"].append(wire.lower())
            case "querystring":
                found["queries"].append(wire)
            case None if shapes[member["shape"]]["type"] == "structure" and not member.get("eventstream"):
                found["document"] += leaves(shapes, member["shape"], [wire])
    return found


def main():
    data = pathlib.Path(botocore.__file__).parent / "data/s3/2006-03-01/service-2.json.gz"
    model = json.loads(gzip.decompress(data.read_bytes()))
    operations = {name: operation(model["shapes"], value) for name, value in sorted(model["operations"].items())}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in operations.items())
    source = f"botocore {botocore.__version__}, s3 {model['metadata']['apiVersion']}, without its prose"
    text = f'{{\n "source": {json.dumps(source)},\n "operations": {{\n{lines}\n }}\n}}\n'
    pathlib.Path(__file__).with_name("s3.json").write_text(text)


if __name__ == "__main__":
    main()
