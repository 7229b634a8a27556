"""Generates requests from AWS's own service model.

Covers every operation, in either spelling of the members' names. Some requests are valid by the model, some have one fault, and
some have a body that makes no sense. The seed alone decides which requests come.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from urllib.parse import quote

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

WORDS = ["", "a", "día 🏖", "x" * 300, "s3://masters/none.mp4", "s3://renditions/fuzz/", "-1", "null", "../../etc/passwd", "\u0000", "$fn$"]
# Members newer than the model that abanico is built from. It reports and drops them, whatever they contain.
NEWER = {"MotionImageInserters", "DurationControl", "AudioDuration", "TextDecoration"}
ANYTHING: list[object] = [None, True, 0, -1, 2**63, 1.5, "", "x", [], [None], {}, {"a": 1}, [[[[]]]], "9" * 10_000]


@dataclass(frozen=True)
class Made:
    """One request. `fault` is the wire name of the member that was made faulty, if exactly one was."""

    operation: str
    method: str
    path: str
    query: dict[str, str]
    body: dict | list | str | int | None
    fault: str | None


class RequestMaker:
    """Makes one request after another."""

    def __init__(self, seed: int) -> None:
        self._model = ServiceModel(Loader().load_service_model("mediaconvert", "service-2"))
        self._chance = random.Random(seed)

    def make(self) -> Made:
        """Returns the next request."""
        name = self._chance.choice(self._model.operation_names)
        if self._chance.random() < 0.4:
            name = self._chance.choice(["CreateJob", "CreatePreset", "CreateJobTemplate"])
        operation = self._model.operation_model(name)
        pascal = self._chance.random() < 0.3
        style = self._chance.random()
        path, query, body = operation.http["requestUri"], {}, {}
        members = operation.input_shape.members if operation.input_shape else {}
        required = operation.input_shape.required_members if operation.input_shape else []
        for member, shape in members.items():
            location = shape.serialization.get("location")
            wire = shape.serialization.get("name", member)
            if location == "uri":
                path = path.replace("{" + wire + "}", quote(self._text(shape) or "x", safe=""))
            elif location == "querystring":
                if self._chance.random() < 0.3:
                    query[wire] = str(self._chance.choice([self._value(shape, 1, pascal), *WORDS[:3]]))
            elif member in required or self._chance.random() < 0.3:
                body[member if pascal else wire] = self._value(shape, 0, pascal)
        if name == "CreateJob":
            self._settle(body, pascal)
        fault = None
        if style < 0.25:
            fault = self._spoil(body)
        elif style < 0.35:
            body = self._chance.choice([*ANYTHING, body])
        return Made(name, operation.http["method"], path, query, body if operation.input_shape else None, fault)

    def _settle(self, body: dict, pascal: bool) -> None:
        """Puts jobs into a paused queue, so that none of them runs."""
        body["Queue" if pascal else "queue"] = "fuzz"
        body["Role" if pascal else "role"] = "arn:aws:iam::000000000000:role/r"

    def _value(self, shape: Shape, depth: int, pascal: bool) -> object:
        kind = shape.type_name
        if kind == "structure":
            few = 0.5 / (1 + depth)
            known = {m: s for m, s in shape.members.items() if m not in NEWER}
            taken = {m: s for m, s in known.items() if m in shape.required_members or self._chance.random() < few}
            return {
                (m if pascal else s.serialization.get("name", m)): self._value(s, depth + 1, pascal) for m, s in taken.items()
            }
        if kind == "list":
            return [self._value(shape.member, depth + 1, pascal) for _ in range(self._chance.choice([0, 1, 1, 2]))]
        if kind == "map":
            return {self._chance.choice(WORDS[1:3]): self._value(shape.value, depth + 1, pascal)}
        if kind in ("integer", "long", "double", "float"):
            low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1000)
            number = self._chance.choice([low, high, self._chance.uniform(low, high)])
            return number if kind in ("double", "float") else int(number)
        if kind == "boolean":
            return self._chance.random() < 0.5
        if kind == "timestamp":
            return 1_700_000_000
        return self._text(shape)

    def _text(self, shape: Shape) -> str:
        values = shape.metadata.get("enum")
        if values and self._chance.random() < 0.95:
            return self._chance.choice(values)
        return self._chance.choice(WORDS)

    def _spoil(self, body: dict) -> str | None:
        """Replaces one value with one of another type. Returns the member's wire name, if the value has one."""
        place: object = body
        while True:
            if isinstance(place, dict) and place:
                key = self._chance.choice(list(place))
                below = place[key]
                if isinstance(below, (dict, list)) and below and self._chance.random() < 0.8:
                    place = below
                    continue
                place[key] = {"not": "this"} if not isinstance(below, dict) else "not this"
                return key[:1].lower() + key[1:]
            if isinstance(place, list) and place:
                index = self._chance.randrange(len(place))
                if isinstance(place[index], (dict, list)) and place[index]:
                    place = place[index]
                    continue
                place[index] = {"not": "this"}
            return None
