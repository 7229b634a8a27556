"""Does any request make the API fail, hang, or answer unlike AWS? Thousands of requests are generated from AWS's model."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from harness import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Server
from planted_faults import PATHS, FaultPlanter, Planted
from request_maker import Made, RequestMaker

REQUESTS = int(os.environ.get("ABANICO_FUZZ_REQUESTS", "5000"))
CONNECTIONS = 4
PLANTED = max(200, REQUESTS // 5)
ANSWER_SECONDS = 10
# The statuses in MediaConvert's own table.
FINE = {200, 201, 202, 400, 402, 403, 404, 409, 413, 422, 429}


@dataclass
class Seen:
    """The answers on one connection."""

    statuses: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    faults: int = 0


def send(connection: http.client.HTTPConnection, endpoint: str, made: Made | Planted) -> tuple[int, dict[str, str], bytes]:
    """Signs and sends one request."""
    query = getattr(made, "query", {})
    url = f"{endpoint}{made.path}" + (f"?{urlencode(query)}" if query else "")
    body = b"" if made.body is None else json.dumps(made.body).encode()
    request = AWSRequest(getattr(made, "method", "POST"), url, headers={"Content-Type": "application/json"}, data=body)
    SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), "mediaconvert", "us-east-1").add_auth(request)
    prepared = request.prepare()
    target = urlsplit(prepared.url)
    path = target.path + (f"?{target.query}" if target.query else "")
    connection.request(prepared.method, path, body=body, headers=dict(prepared.headers))
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def judge(made: Made, status: int, headers: dict[str, str], body: bytes, seen: Seen) -> None:
    """Records what is wrong with an answer."""
    seen.statuses[status] += 1
    shown = f"{made.operation} {made.path[:80]} {json.dumps(made.body)[:300]}"
    if status not in FINE:
        seen.wrong.append(f"status {status}: {shown}: {body[:200]!r}")
        return
    try:
        answer = json.loads(body)
    except ValueError:
        seen.wrong.append(f"no JSON at status {status}: {shown}: {body[:200]!r}")
        return
    if status < 400:
        return
    if not answer.get("message") or "x-amzn-errortype" not in headers:
        seen.wrong.append(f"an error without message or type: {shown}: {body[:200]!r}")
    if made.fault and status == 400:
        seen.faults += 1
        if made.fault.lower() not in answer["message"].lower():
            seen.unnamed.append(f"`{made.fault}` is not named: {shown}: {answer['message'][:300]}")


def run(server: Server, seed: int, count: int, seen: Seen) -> None:
    """Sends `count` requests over one connection."""
    maker = RequestMaker(seed)
    address = urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=ANSWER_SECONDS)
    for _ in range(count):
        made = maker.make()
        try:
            judge(made, *send(connection, server.endpoint, made), seen)
            # The client silently reopens a closed connection, so check that this one is still open.
            if connection.sock is None:
                seen.wrong.append(f"the connection was closed after {made.operation} {json.dumps(made.body)[:300]}")
        except (OSError, http.client.HTTPException) as error:
            seen.wrong.append(f"{type(error).__name__} {error}: {made.operation} {json.dumps(made.body)[:300]}")
            connection.close()
    connection.close()


def test_generated_requests_get_proper_answers(fresh_server: Server) -> None:
    server = fresh_server.start()
    server.mediaconvert.create_queue(Name="fuzz", Status="PAUSED")
    seens = [Seen() for _ in range(CONNECTIONS)]
    threads = [
        threading.Thread(target=run, args=(server, 1000 + number, REQUESTS // CONNECTIONS, seen))
        for number, seen in enumerate(seens)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sum((seen.statuses for seen in seens), Counter())
    wrong = [line for seen in seens for line in seen.wrong]
    assert not wrong, f"{len(wrong)} of {REQUESTS} answers are wrong, for example:\n" + "\n".join(wrong[:10])
    assert "panicked" not in server.log()
    # The requests must cover both cases: some are accepted, many are refused.
    assert statuses[201] > 0 and statuses[200] > 0 and statuses[400] > REQUESTS // 10, statuses
    unnamed = [line for seen in seens for line in seen.unnamed]
    assert not unnamed, f"{len(unnamed)} faults are not named, for example:\n" + "\n".join(unnamed[:10])
    assert sum(seen.faults for seen in seens) > REQUESTS // 100
    assert server.mediaconvert.list_queues()["Queues"], "the server must still answer"


def names(message: str, planted: Planted) -> bool:
    """Whether one of a message's problems points at exactly this member. A missing member is reported at its parent."""
    problems = message.split(" | ")
    if planted.kind == "missing":
        return f"/: {planted.pointer[1:]} is a required property" in problems
    places = {problem.partition(": ")[0] for problem in problems}
    return planted.pointer in places or f"/settings{planted.pointer}" in places


def test_single_fault_is_reported_by_its_pointer(fresh_server: Server) -> None:
    server = fresh_server.start()
    server.mediaconvert.create_queue(Name="fuzz", Status="PAUSED")
    planter, address = FaultPlanter(7), urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=ANSWER_SECONDS)
    for operation in PATHS:
        for _ in range(4):
            # Without the fault, the requests are accepted, so only the fault can cause a refusal.
            status, _, body = send(connection, server.endpoint, planter.good(operation))
            assert status == 201, (operation, body)
    unnamed, kinds = [], Counter()
    for _ in range(PLANTED):
        planted = planter.make()
        status, _, body = send(connection, server.endpoint, planted)
        kinds[planted.kind] += 1
        if status != 400 or not names(json.loads(body)["message"], planted):
            unnamed.append(f"{planted.kind} at {planted.operation} {planted.pointer}: {status} {body[:300]!r}")
    connection.close()
    distinct = sorted(set(unnamed))
    assert not unnamed, f"{len(unnamed)} of {PLANTED} faults are not named, for example:\n" + "\n".join(distinct[:10])
    assert len(kinds) == 11 and min(kinds.values()) > 1, kinds
