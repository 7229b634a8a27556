"""Can an operator see the server's health and its dead letters, and replay them?"""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from clips import Clip, Clips
from harness import SECRET_ACCESS_KEY, Server, all_jobs, eventually

# An invalid template: the trigger's request is refused, so the upload becomes a dead letter.
BROKEN_TEMPLATE = {"settings": {"inputs": [{}], "outputGroups": [{"outputGroupSettings": {
    "type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {}}, "outputs": [{"preset": "System-Nothing"}]}]}}  # fmt: skip


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


def test_console_shows_nothing_without_a_key(server: Server) -> None:
    request = urllib.request.Request(server.endpoint + "/", headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        page = answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<title>abanico" in page
    for path in ("/_abanico/jobs", "/_abanico/dead-letters", "/_abanico/events"):
        assert fetch(server, path, secret=None)[0] == 403, path
        assert fetch(server, path, secret="wrong")[0] == 403, path


def test_failed_upload_event_is_shown_and_replayed(fresh_server: Server, clips: Clips) -> None:
    fresh_server.folder.mkdir(parents=True)
    template = fresh_server.folder / "template.json"
    template.write_text(json.dumps(BROKEN_TEMPLATE))
    bucket = '[[bucket]]\nname = "uploads"\n[[bucket]]\nname = "renditions"\n'
    fresh_server.config = f'{bucket}[[trigger]]\nid = "transcode-video"\nbucket = "uploads"\ntemplate = "{template}"\n'
    fresh_server.start()
    fresh_server.client("s3").upload_file(str(clips.file(Clip(width=640, height=360, frames=25))), "uploads", "a b.mp4")

    def letters() -> list[dict]:
        return json.loads(fetch(fresh_server, "/_abanico/dead-letters")[1])["deadLetters"]

    (letter,) = eventually(letters, 30, "the upload becomes a dead letter")
    assert letter["key"] == "a b.mp4" and "System-Nothing" in letter["reason"]
    assert all_jobs(fresh_server.client("mediaconvert")) == []

    # Restart the server without the broken template, then replay the dead letter.
    assert fresh_server.stop() == 0
    fresh_server.config = f'{bucket}[[trigger]]\nid = "transcode-video"\nbucket = "uploads"\n'
    fresh_server.start()
    assert fetch(fresh_server, f"/_abanico/dead-letters/{letter['id']}/replay", method="POST")[0] in (200, 202, 204)
    jobs = eventually(lambda: [job for job in all_jobs(fresh_server.client("mediaconvert")) if job["Status"] == "COMPLETE"], 60, "the job ends")
    assert len(jobs) == 1 and letters() == []
