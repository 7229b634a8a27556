"""Reads deploy/template.yaml as data, with CloudFormation's short tags expanded."""

from __future__ import annotations

from pathlib import Path

import yaml
from harness import WORKSPACE

TEMPLATE = WORKSPACE / "deploy" / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)


def template(file: Path = TEMPLATE) -> dict:
    """Returns the parsed template."""
    return yaml.load(file.read_text(), _Loader)  # noqa: S506 (a safe loader with more tags)


def statements(role: dict) -> list[dict]:
    """Returns all statements of a role's inline policies."""
    policies = role["Properties"]["Policies"]
    return [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]


def listed(value: object) -> list:
    """Returns `value` if it is a list, and otherwise a list with `value` in it."""
    return value if isinstance(value, list) else [value]
