"""Can an operator see the server's health and its dead letters, and replay them?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import SECRET_ACCESS_KEY, Server, all_jobs, binary, bucket_tables, eventually

# An invalid template: the trigger's request is refused, so the upload becomes a dead letter.
BROKEN_TEMPLATE = {"settings": {"inputs": [{}], "outputGroups": [{"outputGroupSettings": {
    "type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {}}, "outputs": [{"preset": "System-Nothing"}]}]}}  # fmt: skip


def broken_trigger(folder: Path) -> str:
    """A configuration in which the trigger of bucket `broken` has an invalid template, which it writes into `folder`."""
    template = folder / "template.json"
    template.write_text(json.dumps(BROKEN_TEMPLATE))
    triggers = '[[trigger]]\nid = "transcode-video"\nbucket = "uploads"\n'
    triggers += f'[[trigger]]\nid = "broken"\nbucket = "broken"\ntemplate = "{template}"\n'
    return bucket_tables("uploads", "renditions", "broken") + triggers


def fetch(server: Server, path: str, *, method: str = "GET", secret: str | None = SECRET_ACCESS_KEY) -> tuple[int, str]:
    request = urllib.request.Request(server.endpoint + path, method=method)
    if secret:
        request.add_header("Authorization", f"Bearer {secret}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_readiness_and_metrics_need_no_key(server: Server) -> None:
    assert fetch(server, "/healthz", secret=None)[0] == 200
    assert fetch(server, "/readyz", secret=None)[0] == 200
    status, text = fetch(server, "/metrics", secret=None)
    assert status == 200 and "# TYPE" in text and "abanico_" in text


def test_metrics_have_a_token_and_a_listener_of_their_own(fresh_server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fresh_server.config = f'[metrics]\ntoken = "only for scrapers"\nlisten = ":{port}"\n'
    server = fresh_server.start()

    def through_proxy(token: str | None, path: str = "/metrics") -> int:
        headers = {"X-Forwarded-For": "192.0.2.7"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(server.endpoint + path, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code

    assert (through_proxy(None), through_proxy("wrong"), through_proxy("only for scrapers")) == (403, 403, 200)
    assert through_proxy("only for scrapers", "/_abanico/jobs") == 403
    for path in ("/metrics", "/healthz", "/readyz"):
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).status == 200, path
    for path in ("/", "/_abanico/", "/2017-08-29/jobs", "/uploads/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
    assert "only for scrapers" not in server.log()


def test_console_shows_nothing_without_a_key(server: Server) -> None:
    request = urllib.request.Request(server.endpoint + "/", headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        page = answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<title>abanico" in page
    for path in ("/_abanico/jobs", "/_abanico/dead-letters", "/_abanico/events"):
        assert fetch(server, path, secret=None)[0] == 403, path
        assert fetch(server, path, secret="wrong")[0] == 403, path


def commands_environment(server: Server) -> dict[str, str]:
    """The environment of a command beside the server, with its key pair."""
    return {**os.environ, "ABANICO_ACCESS_KEY_ID": server.key_pair[0], "ABANICO_SECRET_ACCESS_KEY": server.key_pair[1]}


def test_second_server_on_one_folder_is_refused(server: Server) -> None:
    second = subprocess.run(
        [str(binary()), "serve", "--listen", "0", "--data", str(server.data)], capture_output=True, text=True, timeout=30,
        env=commands_environment(server),
    )  # fmt: skip
    assert second.returncode == 2, second.stderr
    assert "another abanico uses the data folder" in second.stderr and "hint: use that one" in second.stderr
    assert fetch(server, "/healthz", secret=None)[0] == 200


def test_server_answers_while_its_last_jobs_end(fresh_server: Server, clips: Clips) -> None:
    fresh_server.config = "[engine]\ngrace_seconds = 600\n"
    server = fresh_server.start()
    server.s3.upload_file(str(clips.file(Clip(width=1280, height=720, frames=250))), "uploads", "last.mp4")
    eventually(lambda: any(job.get("CurrentPhase") == "TRANSCODING" for job in server.jobs_of("last.mp4")), 60, "the encode")
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: fetch(server, "/readyz", secret=None) == (503, "stopping\n"), 30, "the server says that it stops")
    [job] = server.jobs_of("last.mp4")
    assert job["Status"] == "PROGRESSING", "the test needs a longer clip"
    assert fetch(server, "/healthz", secret=None)[0] == 200
    once = server.client("mediaconvert", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError) as refused:
        once.create_job(Role=job["Role"], Settings=job["Settings"])
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    server.s3.upload_file(str(clips.file(Clip(width=320, height=180, frames=25))), "uploads", "next.mp4")
    assert server.process.wait(timeout=120) == 0
    server.start()
    assert server.wait_job("last.mp4")["Status"] == "COMPLETE"
    assert server.wait_job("next.mp4")["Status"] == "COMPLETE", "an upload during the grace is kept for the next start"


def test_failed_upload_event_is_shown_and_replayed(fresh_server: Server, clips: Clips) -> None:
    fresh_server.folder.mkdir(parents=True)
    template = fresh_server.folder / "template.json"
    template.write_text(json.dumps(BROKEN_TEMPLATE))
    bucket = bucket_tables("uploads", "renditions")
    fresh_server.config = f'{bucket}[[trigger]]\nid = "transcode-video"\nbucket = "uploads"\ntemplate = "{template}"\n'
    fresh_server.start()
    fresh_server.client("s3").upload_file(str(clips.file(Clip(width=640, height=360, frames=25))), "uploads", "a b.mp4")

    def letters() -> list[dict]:
        return json.loads(fetch(fresh_server, "/_abanico/dead-letters")[1])["deadLetters"]

    (letter,) = eventually(letters, 30, "the upload becomes a dead letter")
    assert letter["key"] == "a b.mp4" and "System-Nothing" in letter["reason"]
    assert all_jobs(fresh_server.client("mediaconvert")) == []

    # The command line asks the running server.
    words = [str(binary()), "dead-letters", "--data", str(fresh_server.data)]
    listed = subprocess.run(words, capture_output=True, text=True, timeout=30, env=commands_environment(fresh_server))
    assert listed.returncode == 0 and json.loads(listed.stdout)["id"] == letter["id"], listed.stderr
    replayed = subprocess.run([*words, "replay", str(letter["id"])], capture_output=True, text=True, timeout=30, env=commands_environment(fresh_server))
    assert replayed.returncode == 0 and "delivers dead letter" in replayed.stderr, replayed.stderr
    (letter,) = eventually(letters, 30, "it fails again, since the template is still broken")
    unknown = subprocess.run([*words, "replay", "99"], capture_output=True, text=True, timeout=30, env=commands_environment(fresh_server))
    assert unknown.returncode == 1 and "`99` does not exist" in unknown.stderr, unknown.stderr

    # Restart the server without the broken template, then replay the dead letter.
    assert fresh_server.stop() == 0
    fresh_server.config = f'{bucket}[[trigger]]\nid = "transcode-video"\nbucket = "uploads"\n'
    fresh_server.start()
    assert fetch(fresh_server, f"/_abanico/dead-letters/{letter['id']}/replay", method="POST")[0] in (200, 202, 204)
    jobs = eventually(lambda: [job for job in all_jobs(fresh_server.client("mediaconvert")) if job["Status"] == "COMPLETE"], 60, "the job ends")
    assert len(jobs) == 1 and letters() == []
