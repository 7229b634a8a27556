"""Makes requests with exactly one fault each, from AWS's own service model.

From a seed, makes CreatePreset, CreateJobTemplate and CreateJob requests whose settings are otherwise valid, and gives the
pointer to the member at fault.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

ROLE = "arn:aws:iam::000000000000:role/r"
H264 = {"RateControlMode": "QVBR", "MaxBitrate": 800_000, "QualityTuningLevel": "SINGLE_PASS", "GopSize": 60.0}
H264_CODEC = {"Codec": "H_264", "H264Settings": H264 | {"NumberReferenceFrames": 3}}
PICTURE = {"Width": 320, "Height": 180, "ScalingBehavior": "DEFAULT", "CodecSettings": H264_CODEC}
AAC = {"Bitrate": 96_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}
SOUND = {"AudioSourceName": "Audio Selector 1", "CodecSettings": {"Codec": "AAC", "AacSettings": AAC}}
OUTPUT = {"ContainerSettings": {"Container": "MP4"}, "VideoDescription": PICTURE, "AudioDescriptions": [SOUND]}
GROUP = {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://renditions/planted/"}}
INPUT = {"FileInput": "s3://masters/none.mp4", "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}
JOB = {"Inputs": [INPUT], "OutputGroups": [{"OutputGroupSettings": GROUP, "Outputs": [OUTPUT | {"NameModifier": "_a"}]}]}
TEMPLATE = {"Inputs": [{"AudioSelectors": INPUT["AudioSelectors"]}], "OutputGroups": JOB["OutputGroups"]}
PATHS = {"CreateJob": "jobs", "CreatePreset": "presets", "CreateJobTemplate": "jobTemplates"}
REQUIRED = {name: ["role" if name == "CreateJob" else "name", "settings"] for name in PATHS}
SETTINGS = {"CreateJob": JOB, "CreatePreset": OUTPUT, "CreateJobTemplate": TEMPLATE}


@dataclass(frozen=True)
class Planted:
    """A request with one fault, or with none if `pointer` is empty. `kind` is the kind of fault."""

    operation: str
    path: str
    body: dict
    pointer: str
    kind: str


@dataclass(frozen=True)
class _Place:
    """One member of the valid settings: the keys that lead to it, in AWS's spelling, and its shape."""

    keys: tuple[str | int, ...]
    pointer: str
    shape: Shape


class FaultPlanter:
    """Makes requests with one fault each."""

    def __init__(self, seed: int) -> None:
        self._model = ServiceModel(Loader().load_service_model("mediaconvert", "service-2"))
        self._chance = random.Random(seed)
        self._made = 0
        self._places = {name: list(self._walk(name)) for name in PATHS}

    def good(self, operation: str) -> Planted:
        """Returns an operation's request without a fault."""
        return self._request(operation, copy.deepcopy(SETTINGS[operation]), "", "none")

    def make(self) -> Planted:
        """Returns the next request with a fault."""
        operation = self._chance.choice(list(PATHS))
        if self._chance.random() < 0.05:
            return self._without(operation, self._chance.choice(REQUIRED[operation]))
        place = self._chance.choice(self._places[operation])
        kind, value = self._chance.choice(list(_faults(place.shape)))
        settings = copy.deepcopy(SETTINGS[operation])
        holder = settings
        for key in place.keys[:-1]:
            holder = holder[key]
        holder[place.keys[-1]] = value
        return self._request(operation, settings, place.pointer, kind)

    def _without(self, operation: str, member: str) -> Planted:
        """Returns a valid request with one of its required members removed."""
        made = self.good(operation)
        body = {name: value for name, value in made.body.items() if name.lower() != member}
        return Planted(operation, made.path, body, f"/{member}", "missing")

    def _request(self, operation: str, settings: dict, pointer: str, kind: str) -> Planted:
        pascal = self._chance.random() < 0.5
        shape = self._shape(operation)
        self._made += 1
        body = {"settings": settings if pascal else _wire(settings, shape)}
        body |= {"role": ROLE, "queue": "fuzz"} if operation == "CreateJob" else {"name": f"planted-{self._made}"}
        if pascal:
            body = {key[:1].upper() + key[1:]: value for key, value in body.items()}
        return Planted(operation, f"/2017-08-29/{PATHS[operation]}", body, pointer, kind)

    def _shape(self, operation: str) -> Shape:
        return self._model.operation_model(operation).input_shape.members["Settings"]

    def _walk(self, operation: str) -> Iterator[_Place]:
        yield from _places(SETTINGS[operation], self._shape(operation), (), "")


def _places(value: object, shape: Shape, keys: tuple, pointer: str) -> Iterator[_Place]:
    """Yields every member of the valid settings, at every level."""
    if keys:
        yield _Place(keys, pointer, shape)
    if shape.type_name == "structure":
        for name, below in value.items():
            member = shape.members[name]
            yield from _places(below, member, (*keys, name), f"{pointer}/{member.serialization.get('name', name)}")
    elif shape.type_name == "list":
        for index, below in enumerate(value):
            yield from _places(below, shape.member, (*keys, index), f"{pointer}/{index}")
    elif shape.type_name == "map":
        for name, below in value.items():
            yield from _places(below, shape.value, (*keys, name), f"{pointer}/{name}")


def _wire(value: object, shape: Shape) -> object:
    """Returns the same settings with the names that the wire uses. Leaves faulty values unchanged."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            shape.members[name].serialization.get("name", name) if name in shape.members else name:
            _wire(below, shape.members[name]) if name in shape.members else below
            for name, below in value.items()
        }  # fmt: skip
    if shape.type_name == "list" and isinstance(value, list):
        return [_wire(below, shape.member) for below in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: _wire(below, shape.value) for name, below in value.items()}
    return value


def _faults(shape: Shape) -> Iterator[tuple[str, object]]:
    """Yields the kinds of fault that a member of this shape can have, each with a faulty value."""
    kind = shape.type_name
    yield "kind", ["no"] if kind in ("structure", "map") else {"not": "this"}
    if kind not in ("structure", "map", "list"):
        yield "nesting", [[[[[[[[["deep"]]]]]]]]]
    if kind in ("integer", "long", "double"):
        yield "word", "many"
        # The model's integers have 32 bits, and these ranges end well below that.
        yield from (("below", shape.metadata["min"] - 1),) if "min" in shape.metadata else ()
        yield from (("above", shape.metadata["max"] + 1),) if "max" in shape.metadata else ()
    if kind == "string":
        yield "number", 7
    if shape.metadata.get("enum"):
        yield from (("unknown", "NO_SUCH_VALUE"), ("empty", ""), ("unicode", "día 🏖"), ("huge", "X" * 10_000))
