"""Are inputs read from the web, and only from hosts that the operator allows? Real servers on loopback record the requests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server, eventually
from media_facts import decode_complaints
from outputs import AAC, ROLE, fail, h264, output, run, settings, streams, upload
from test_captions import NAME, SRT, sidecar
from test_overlays import png
from web_server import PASSWORD, USER, WebServer, certificates

FILM = Clip(width=320, height=180, rate="25", frames=75)
SIGNATURE = "5ec2e75ec2e75ec2e7"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A test certificate authority, and a server certificate that it signed."""
    return certificates(tmp_path_factory.mktemp("certificates"))


def with_film(server: WebServer, clips: Clips) -> Iterator[WebServer]:
    """Runs a web server that has a film."""
    with server as web:
        web.put("/film.mp4", clips.file(FILM).read_bytes())
        yield web


@pytest.fixture(scope="module")
def web(clips: Clips) -> Iterator[WebServer]:
    """A server that jobs may read from."""
    yield from with_film(WebServer(), clips)


@pytest.fixture(scope="module")
def secure(authority: tuple[Path, Path], clips: Clips) -> Iterator[WebServer]:
    """The same with TLS."""
    yield from with_film(WebServer(certificate=authority[1]), clips)


@pytest.fixture(scope="module")
def hidden(clips: Clips) -> Iterator[WebServer]:
    """A server that no job may reach."""
    yield from with_film(WebServer(), clips)


@pytest.fixture(scope="module")
def dead_port() -> Iterator[int]:
    """A port on which nothing listens, now or later."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    web: WebServer,
    secure: WebServer,
    authority: tuple[Path, Path],
    dead_port: int,
) -> Iterator[Server]:
    """A server that may read from two web servers and a dead port. Its environment names a proxy that would break every request."""
    hosts = f'hosts = ["{web.host}", "{secure.host}", "127.0.0.1:{dead_port}"]'
    config = f'[web_inputs]\n{hosts}\nallow_private_addresses = true\nca_file = "{authority[0]}"\nmax_bytes = 10_000_000\n'
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{dead_port}")
    server = Server(tmp_path_factory.mktemp("server"), config=config, environment={**proxies, "NO_PROXY": "", "no_proxy": ""})
    try:
        server.start()
        server.s3.create_bucket(Bucket="masters")
        yield server
    finally:
        server.end()


def job_of(url: str, name: str = "x", **members: object) -> dict:
    """Returns a job with one small output from `url`."""
    return settings([{"FileInput": url, **members}], [output("MP4", h264(), NameModifier="_o")], f"s3://renditions/web/{name}/")


def refusal(server: Server, job: dict) -> str:
    """Returns the message with which CreateJob refuses a job."""
    with pytest.raises(ClientError) as refused:
        server.mediaconvert.create_job(Role=ROLE, Settings=job)
    assert refused.value.response["Error"]["Code"] == "BadRequestException"
    return refused.value.response["Error"]["Message"]


def test_film_captions_and_image_are_read_by_http(server: Server, web: WebServer, tmp_path: Path) -> None:
    film = f"{web.put('/film.mp4', web.pages['/film.mp4'].body)}?id=7&X-Amz-Signature={SIGNATURE}"
    captions = web.put("/texts/texto.srt", SRT.encode())
    image = web.put("/white.png", png(60, 40, (255, 255, 255, 255)))
    source = {"SourceType": "SRT", "FileSourceSettings": {"SourceFile": captions}}
    images = {"InsertableImages": [{"ImageInserterInput": f"{image}?v=1", "ImageX": 0, "ImageY": 0, "Layer": 1, "Opacity": 100}]}
    job = job_of(
        film,
        "all",
        CaptionSelectors={NAME: {"LanguageCode": "SPA", "SourceSettings": source}},
        AudioSelectors={"Audio Selector 1": {"DefaultSelection": "DEFAULT"}},
    )
    picture = {"VideoPreprocessors": {"ImageInserter": images}}
    job["OutputGroups"][0]["Outputs"] = [
        output("MP4", h264(), [AAC], NameModifier="_o", VideoDescription=picture),
        sidecar("SRT", "_s"),
    ]
    run(server, job)
    # The output is named after the URL, without its query.
    made = server.download("web/all/film_o.mp4", tmp_path / "film.mp4")
    assert not decode_complaints(made)
    video = next(stream for stream in streams(made) if stream["codec_type"] == "video")
    assert (video["width"], int(video["nb_read_packets"])) == (320, 75)
    assert "¿Qué tal?" in server.download("web/all/film_s.srt", tmp_path / "s.srt").read_text()
    for path, query in [("/film.mp4", f"?id=7&X-Amz-Signature={SIGNATURE}"), ("/texts/texto.srt", ""), ("/white.png", "?v=1")]:
        assert [asked for asked, _ in web.requests if asked.split("?")[0] == path] == [path + query]


def test_probe_describes_web_files_like_objects(server: Server, web: WebServer, clips: Clips) -> None:
    of_web, of_object = (
        server.mediaconvert.probe(InputFiles=[{"FileUrl": url}])["ProbeResults"][0]
        for url in (web.put("/probed.mp4", web.pages["/film.mp4"].body), upload(server, clips.file(FILM), "probed.mp4"))
    )
    assert of_web.pop("Metadata") == {"ETag": f'"{of_object["Metadata"]["FileSize"]}"', "FileSize": of_object.pop("Metadata")["FileSize"]}
    assert of_web == of_object and of_web["Container"]["Tracks"]


@pytest.mark.parametrize(("status", "code"), [(401, 3401), (403, 3403), (404, 3404), (418, 3408), (503, 3450)])
def test_http_status_becomes_its_error_code(server: Server, web: WebServer, status: int, code: int) -> None:
    failed = fail(server, job_of(web.put(f"/status/{status}.mp4", b"x", status=status)))
    assert failed["ErrorCode"] == code and str(status) in failed["ErrorMessage"], failed
    # A server error is tried three times; a client error is final.
    assert len(web.asked(f"/status/{status}.mp4")) == (3 if code == 3450 else 1)


def test_unreachable_server_is_reported(server: Server, dead_port: int) -> None:
    failed = fail(server, job_of(f"http://127.0.0.1:{dead_port}/film.mp4"))
    assert failed["ErrorCode"] == 3451 and "cannot connect" in failed["ErrorMessage"], failed


def test_url_credentials_are_used_but_never_shown(server: Server, web: WebServer) -> None:
    url = web.put("/guarded.mp4", web.pages["/film.mp4"].body, needs_password=True)
    assert fail(server, job_of(url))["ErrorCode"] == 3401
    run(server, job_of(url.replace("http://", f"http://{USER}:{PASSWORD}@"), "guarded"))
    broken = web.put("/broken.mp4", b"no film").replace("http://", f"http://{USER}:{PASSWORD}@")
    failed = fail(server, job_of(f"{broken}?sig={SIGNATURE}"))
    assert failed["ErrorCode"] == 1010 and "REDACTED@" in failed["ErrorMessage"], failed
    for text in (failed["ErrorMessage"], server.log()):
        assert PASSWORD not in text and SIGNATURE not in text


def test_unlisted_host_is_never_asked(server: Server, hidden: WebServer) -> None:
    url = f"http://{hidden.host}/film.mp4"
    told = refusal(server, job_of(url))
    assert told.startswith("/inputs/0/fileInput: ") and hidden.host in told and "`[web_inputs]`" in told, told
    with pytest.raises(ClientError) as forbidden:
        server.mediaconvert.probe(InputFiles=[{"FileUrl": url}])
    assert forbidden.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    for disguise in (f"http://{hidden.host}/x?@127.0.0.1", f"http://127.0.0.1:{hidden.port}#@x/film.mp4", f"http://0x7f.1:{hidden.port}/film.mp4"):
        assert "`[web_inputs]`" in refusal(server, job_of(disguise))
    assert hidden.requests == []


def test_redirects_are_followed_to_listed_hosts_only(server: Server, web: WebServer, secure: WebServer, hidden: WebServer) -> None:
    run(server, job_of(web.put("/moved.mp4", status=302, location="/film.mp4"), "moved"))
    run(server, job_of(web.put("/up.mp4", status=301, location=f"https://{secure.host}/film.mp4"), "up"))
    targets = [f"http://{hidden.host}/film.mp4", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"]
    for number, target in enumerate(targets):
        failed = fail(server, job_of(web.put(f"/away{number}.mp4", status=307, location=target)))
        assert failed["ErrorCode"] == 3457, failed
    assert hidden.requests == []
    asked = len(web.requests)
    down = secure.put("/down.mp4", status=302, location=f"http://{web.host}/film.mp4")
    failed = fail(server, job_of(down))
    assert failed["ErrorCode"] == 3457 and "from https" in failed["ErrorMessage"], failed
    assert len(web.requests) == asked
    failed = fail(server, job_of(web.put("/loop.mp4", status=302, location="/loop.mp4")))
    assert failed["ErrorCode"] == 3408 and len(web.asked("/loop.mp4")) == 6, failed


def test_only_the_configured_authority_is_trusted(server: Server, secure: WebServer, fresh_server: Server) -> None:
    run(server, job_of(f"https://{secure.host}/film.mp4", "tls"))
    fresh_server.config = f'[web_inputs]\nhosts = ["{secure.host}"]\nallow_private_addresses = true\n'
    asked = len(secure.requests)
    failed = fail(fresh_server.start(), job_of(f"https://{secure.host}/film.mp4"))
    assert failed["ErrorCode"] == 3451 and "`ca_file`" in failed["ErrorMessage"], failed
    assert len(secure.requests) == asked


def test_broken_transfer_resumes(server: Server, web: WebServer, tmp_path: Path) -> None:
    film = web.pages["/film.mp4"].body
    run(server, job_of(web.put("/cut.mp4", film, cut_at=50_000), "cut"))
    assert not decode_complaints(server.download("web/cut/cut_o.mp4", tmp_path / "cut.mp4"))
    first, second = web.asked("/cut.mp4")
    assert "range" not in first and second["range"] == "bytes=50000-" and second["if-range"] == f'"{len(film)}"'


def test_cancelling_ends_a_transfer_and_cleans_up(server: Server, web: WebServer) -> None:
    url = web.put("/slow.mp4", bytes(100_000), hangs=True)
    job = server.mediaconvert.create_job(Role=ROLE, Settings=job_of(url))["Job"]["Id"]
    work = server.data / "engine" / "work" / job
    eventually(lambda: any(file.stat().st_size >= 50_000 for file in work.glob("input-*")), 30, "half of the file arrives")
    server.mediaconvert.cancel_job(Id=job)
    server.wait_status(job, ("CANCELED",), 20)
    eventually(lambda: not work.exists(), 20, "the work folder is removed")


def test_file_over_the_limit_is_refused(server: Server, web: WebServer) -> None:
    failed = fail(server, job_of(web.put("/large.mp4", bytes(10_000_001))))
    assert failed["ErrorCode"] == 3408 and "`max_bytes`" in failed["ErrorMessage"], failed


def test_private_addresses_stay_out_of_reach(web: WebServer, fresh_server: Server) -> None:
    fresh_server.config = f'[web_inputs]\nhosts = ["{web.host}", "localhost:{web.port}"]\n'
    fresh_server.start()
    asked = len(web.requests)
    told = refusal(fresh_server, job_of(f"http://{web.host}/film.mp4"))
    assert "`allow_private_addresses`" in told, told
    # A host name is resolved only when the file is read.
    failed = fail(fresh_server, job_of(f"http://localhost:{web.port}/film.mp4"))
    assert failed["ErrorCode"] == 3457 and "`localhost`" in failed["ErrorMessage"], failed
    assert len(web.requests) == asked


def test_web_inputs_are_off_by_default(fresh_server: Server, web: WebServer) -> None:
    fresh_server.start()
    asked = len(web.requests)
    assert "`[web_inputs]`" in refusal(fresh_server, job_of(f"http://{web.host}/film.mp4"))
    assert len(web.requests) == asked


def test_policy_overrides_the_configuration(server: Server, web: WebServer) -> None:
    client = server.mediaconvert
    client.put_policy(Policy={"HttpInputs": "DISALLOWED"})
    try:
        asked = len(web.requests)
        failed = fail(server, job_of(f"http://{web.host}/film.mp4"))
        assert failed["ErrorCode"] == 3457 and "httpInputs" in failed["ErrorMessage"], failed
        with pytest.raises(ClientError) as forbidden:
            client.probe(InputFiles=[{"FileUrl": f"http://{web.host}/film.mp4"}])
        assert forbidden.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert len(web.requests) == asked
    finally:
        client.delete_policy()
