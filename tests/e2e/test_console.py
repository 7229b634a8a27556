"""Does the console work in a real browser, and only for the operator?

Hostile pages run in the operator's own browser, with the operator's cookies: one on another port of the host, and one that was
uploaded and opened from S3. They try every route in every way that a page has.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium
from clips import Clip, Clips
from devtools import Browser, Page
from harness import SECRET_ACCESS_KEY, Server, eventually
from hostile_site import HostileSite
from test_operations import broken_trigger

CLIP = Clip(width=640, height=360, frames=25)
HEADER = "x-abanico-console"
# A queue that is paused holds a job that a hostile page could cancel.
PAUSED = "held"


@pytest.fixture(scope="module")
def console(server: Server, clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with a finished job, a waiting job and a dead letter."""
    chromium()
    server.stop()
    server.config = 'hosts = ["console.example"]\n' + broken_trigger(tmp_path_factory.mktemp("template"))
    server.start()
    server.s3.upload_file(str(clips.file(CLIP)), "uploads", "film.mp4")
    server.s3.put_object(Bucket="broken", Key="letter.mp4", Body=b"no film")
    server.wait_job("film.mp4")
    server.mediaconvert.create_queue(Name=PAUSED, Status="PAUSED")
    eventually(lambda: letters(server), 60, "a dead letter")
    return server


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """The operator's browser."""
    browser = Browser(tmp_path / "browser")
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture
def site() -> Iterator[HostileSite]:
    """A hostile site on another port of the same host."""
    site = HostileSite()
    try:
        yield site
    finally:
        site.close()


def ask(server: Server, method: str, path: str, headers: dict[str, str] | None = None, body: str = "") -> tuple[int, dict, str]:
    """Sends a request as a program that is no browser, and returns status, headers and body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.endpoint).netloc, timeout=30)
    try:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def as_operator(server: Server, path: str) -> dict:
    """What the console's interface tells the holder of the secret."""
    status, _, text = ask(server, "GET", path, {"Authorization": f"Bearer {SECRET_ACCESS_KEY}"})
    assert status == 200, text
    return json.loads(text)


def letters(server: Server) -> list[dict]:
    """The dead letters."""
    return as_operator(server, "/_abanico/dead-letters")["deadLetters"]


def waiting_job(server: Server) -> str:
    """Creates a job that waits in a paused queue, and returns its id."""
    settings = {
        "Inputs": [{"FileInput": "s3://uploads/film.mp4"}],
        "OutputGroups": [{"OutputGroupSettings": {"FileGroupSettings": {"Destination": "s3://renditions/waiting/"}}}],
    }
    job = server.mediaconvert.create_job(
        Role="arn:aws:iam::000000000000:role/r", JobTemplate="ladder", Queue=PAUSED, Settings=settings
    )
    return job["Job"]["Id"]


def routes(server: Server, job: str) -> list[tuple[str, str]]:
    """Every route of the console's interface that does or tells something."""
    (letter, *_) = letters(server)
    return [
        ("GET", "/_abanico/jobs"),
        ("GET", f"/_abanico/jobs/{job}"),
        ("DELETE", f"/_abanico/jobs/{job}"),
        ("GET", f"/_abanico/jobs/{job}/progress"),
        ("GET", "/_abanico/events"),
        ("GET", "/_abanico/dead-letters"),
        ("GET", "/_abanico/storage"),
        ("POST", "/_abanico/storage/free"),
        ("GET", "/_abanico/download?url=s3://uploads/film.mp4"),
        ("POST", f"/_abanico/dead-letters/{letter['id']}/replay"),
        ("POST", "/_abanico/login"),
        ("POST", "/_abanico/logout"),
    ]


def log_in(browser: Browser, server: Server) -> Page:
    """Opens the console and logs in as a person does."""
    page = browser.open(server.endpoint + "/")
    page.wait("document.getElementById('login') && !document.getElementById('login').hidden")
    page.run(f"document.getElementById('secret').value = {json.dumps(SECRET_ACCESS_KEY)}")
    page.run("document.querySelector('#login button').click()")
    page.wait("document.querySelectorAll('#jobs tr').length > 0")
    return page


def session_of(page: Page, browser: Browser, server: Server) -> dict[str, str]:
    """The two secrets of the page's session, as headers."""
    cookies = browser.call("Storage.getCookies")["cookies"]
    (cookie,) = [one for one in cookies if one["name"] == "abanico_session"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/_abanico/"
    token = page.run("sessionStorage.getItem('abanico-console-token')")
    return {"Cookie": f"abanico_session={cookie['value']}", HEADER: token}


def test_operator_logs_in_watches_downloads_and_logs_out(console: Server, browser: Browser, clips: Clips) -> None:
    page = browser.open(console.endpoint + "/")
    page.wait("document.getElementById('login') && !document.getElementById('login').hidden")
    assert page.run("document.getElementById('signed-in').hidden")
    page.run("document.getElementById('secret').value = 'wrong'; document.querySelector('#login button').click()")
    page.wait("document.getElementById('login-error').textContent.includes('unknown secret access key')")
    page.run(f"document.getElementById('secret').value = {json.dumps(SECRET_ACCESS_KEY)}")
    page.run("document.querySelector('#login button').click()")
    page.wait("document.querySelectorAll('#jobs tr').length > 0 && document.getElementById('signed-in').offsetHeight > 0")
    assert page.run("document.getElementById('secret').value") == ""
    assert "letter.mp4" in page.text()

    # The event stream brings a new job without a reload, and its progress.
    page.wait("document.getElementById('live').textContent === 'live'")
    console.s3.upload_file(str(clips.file(CLIP)), "uploads", "second.mp4")
    page.wait("document.getElementById('jobs').innerText.includes('second.mp4')")
    row = "[...document.querySelectorAll('#jobs tr')].find((row) => row.innerText.includes('second.mp4'))"
    page.wait(f"{row}.innerText.includes('COMPLETE') && {row}.innerText.includes('100 %')")

    # A click saves an output as a file, and the page stays.
    page.run(f"{row}.querySelector('a').click()")
    key = page.run(f"{row}.querySelector('a').textContent").removeprefix("s3://renditions/")
    made = console.s3.get_object(Bucket="renditions", Key=key)["Body"].read()
    saved = browser.downloads / key.rpartition("/")[2]
    eventually(lambda: saved.exists() and saved.read_bytes() == made, 60, "the download")
    assert page.run("location.pathname") == "/"

    # A reload keeps the session, another tab has none, and a logout ends it.
    page.go(console.endpoint + "/")
    page.wait("document.querySelectorAll('#jobs tr').length > 0")
    other = browser.open(console.endpoint + "/")
    other.wait("document.getElementById('login') && !document.getElementById('login').hidden")
    secrets = session_of(page, browser, console)
    assert ask(console, "GET", "/_abanico/jobs", secrets)[0] == 200
    page.run("document.getElementById('log-out').click()")
    page.wait("!document.getElementById('login').hidden")
    assert page.run("document.querySelectorAll('#jobs tr').length") == 0
    assert page.run("sessionStorage.length") == 0
    eventually(lambda: ask(console, "GET", "/_abanico/jobs", secrets)[0] == 403, 30, "the session ends")
    assert not [cookie for cookie in browser.call("Storage.getCookies")["cookies"] if "abanico" in cookie["name"]]


CONTRAST = (Path(__file__).with_name("javascript") / "contrast.js").read_text()


def faint(page: Page, width: int, scheme: str) -> list[dict]:
    """What has too little contrast on the page at this width, light or dark."""
    page.look(width, scheme)
    page.wait(f"innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches")
    measured = page.run(CONTRAST)
    assert measured["texts"] > 3 and measured["isDark"] == (scheme == "dark"), measured
    return measured["found"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_console_can_be_read(console: Server, browser: Browser, width: int, scheme: str) -> None:
    if not console.jobs_of("bad.mp4"):
        console.s3.put_object(Bucket="uploads", Key="bad.mp4", Body=b"no film")
        assert console.wait_job("bad.mp4")["Status"] == "ERROR"
    waiting_job(console)
    page = browser.open(console.endpoint + "/")
    page.wait("document.getElementById('login') && !document.getElementById('login').hidden")
    page.run("document.getElementById('secret').value = 'wrong'; document.querySelector('#login button').click()")
    page.wait("document.getElementById('login-error').textContent !== ''")
    assert faint(page, width, scheme) == []
    page = log_in(browser, console)
    page.wait("['COMPLETE', 'ERROR', 'SUBMITTED'].every((status) => document.getElementById('jobs').innerText.includes(status))")
    assert faint(page, width, scheme) == []
    assert page.run("document.documentElement.scrollWidth") <= width, "the page is no wider than the window"
    hidden = page.run("(() => { const table = document.querySelector('.scroll'); return table.scrollWidth - table.clientWidth; })()")
    assert hidden == 0, f"{hidden} pixels of the table are out of sight"
    bars = page.run("[...document.querySelectorAll('#jobs tr')].filter((row) => row.querySelector('.ERROR')).map((row) => row.querySelectorAll('progress').length)")
    assert bars and not any(bars), "how far a failed job came is not known"
    # What only shows now and then: errors, warnings, empty lists, the button for older jobs.
    page.run("for (const part of document.querySelectorAll('#signed-in [hidden]')) part.hidden = false")
    page.run("for (const id of ['warning', 'error']) document.getElementById(id).textContent = 'Something to read'")
    shown = page.run("[...document.querySelectorAll('#warning, #no-jobs, #more, #no-dead, #error')].filter((one) => one.checkVisibility()).length")
    assert shown == 5, shown
    assert faint(page, width, scheme) == []


def test_faint_text_is_found(console: Server, browser: Browser) -> None:
    page = log_in(browser, console)
    page.run("document.querySelector('h1').style.color = '#999'; document.getElementById('more').hidden = false")
    page.run("document.getElementById('more').style.borderColor = '#0001'")
    found = [one["what"].split(" of ")[0] for one in faint(page, 1100, "light")]
    assert found == ["text", "border"], "the check can fail"


def test_open_stream_ends_with_the_session(console: Server, browser: Browser) -> None:
    page = log_in(browser, console)
    secrets = session_of(page, browser, console)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(console.endpoint).netloc, timeout=60)
    connection.request("GET", "/_abanico/events", headers=secrets)
    stream = connection.getresponse()
    assert stream.status == 200
    assert ask(console, "POST", "/_abanico/logout", secrets)[0] == 200
    stream.read()
    connection.close()


def before_an_attack(console: Server, browser: Browser) -> tuple[str, list[tuple[str, str]], list[dict], Page, dict[str, str]]:
    """A job that waits, the routes that could harm it, the dead letters, and the operator's page with the session's secrets."""
    job = waiting_job(console)
    tried, before = routes(console, job), letters(console)
    page = log_in(browser, console)
    return job, tried, before, page, session_of(page, browser, console)


def test_page_on_another_port_reaches_nothing(console: Server, browser: Browser, site: HostileSite) -> None:
    job, tried, before, _, secrets = before_an_attack(console, browser)
    # Below the cookie's own path, so that the browser sends it along.
    site.pages["/_abanico/evil.html"] = site.attack(console.endpoint, tried)
    browser.open(site.url + "/_abanico/evil.html")
    seen = site.reports.get(timeout=300)
    assert seen["read"] == [] and seen["stored"] == [] and seen["cookie"] == "", seen
    unharmed(console, job, before)
    assert ask(console, "GET", "/_abanico/jobs", secrets)[0] == 200, "the session goes on"

    # The other port's server did get the cookie, and it is worth nothing.
    (stolen,) = {headers["Cookie"] for path, headers in site.requests if path.endswith("evil.html")}
    assert stolen == secrets["Cookie"]
    worthless(console, tried, {"Cookie": stolen})
    for token in ("login", "1", stolen.partition("=")[2]):
        worthless(console, tried, {"Cookie": stolen, HEADER: token})
    unharmed(console, job, before)


def test_uploaded_page_reaches_nothing(console: Server, browser: Browser, site: HostileSite) -> None:
    job, tried, before, page, secrets = before_an_attack(console, browser)
    evil = site.attack("", tried)
    console.s3.put_object(Bucket="renditions", Key="evil.html", Body=evil.encode(), ContentType="text/html")
    link = console.s3.generate_presigned_url("get_object", Params={"Bucket": "renditions", "Key": "evil.html"})
    browser.open(link)
    # The page may have been saved as a file, or not been allowed to run. Then it reports nothing; else within a second.
    try:
        seen = site.reports.get(timeout=10)
    except Exception:  # noqa: BLE001
        seen = {"read": []}
    assert seen["read"] == [], seen
    unharmed(console, job, before)
    assert ask(console, "GET", "/_abanico/jobs", secrets)[0] == 200, "the session goes on"
    assert page.run("document.querySelectorAll('#jobs tr').length") > 0

    # The console itself never opens an object as a page: its links save files.
    url = as_operator(console, "/_abanico/download?url=s3://renditions/evil.html")["url"]
    status, headers, _ = ask(console, "GET", url)
    assert status == 200 and headers["content-disposition"] == "attachment", headers


def worthless(server: Server, tried: list[tuple[str, str]], headers: dict[str, str]) -> None:
    """Checks that these headers open no route."""
    for method, path in tried:
        if path.endswith("/login"):
            continue
        assert ask(server, method, path, headers)[0] == 403, (method, path, headers)


def unharmed(server: Server, job: str, before: list[dict]) -> None:
    """Checks that the job still waits and that the dead letters are as before."""
    assert server.mediaconvert.get_job(Id=job)["Job"]["Status"] == "SUBMITTED"
    assert letters(server) == before


def test_wrong_secrets_have_to_wait(fresh_server: Server) -> None:
    fresh_server.start()
    headers = {HEADER: "login", "Content-Type": "application/json"}

    def enter(secret: str) -> tuple[int, dict, str]:
        return ask(fresh_server, "POST", "/_abanico/login", headers, json.dumps({"secretAccessKey": secret}))

    answers = [enter(f"guess {number}") for number in range(12)]
    statuses = [status for status, _, _ in answers]
    assert statuses[:5] == [403] * 5 and 429 in statuses, statuses
    _, limited, text = next(answer for answer in answers if answer[0] == 429)
    assert 1 <= int(limited["retry-after"]) <= 60 and "too many wrong secret access keys" in text
    # Signed requests are not guesses, and the right secret is accepted after the wait.
    assert fresh_server.mediaconvert.list_jobs()["Jobs"] == []
    eventually(lambda: enter(SECRET_ACCESS_KEY)[0] == 200, 120, "the right secret is accepted")
    # Requests that browsers send for other sites are no guesses either.
    for number in range(12):
        foreign = headers | {"Sec-Fetch-Site": "cross-site"}
        body = json.dumps({"secretAccessKey": f"guess {number}"})
        assert ask(fresh_server, "POST", "/_abanico/login", foreign, body)[0] == 403
    assert enter(SECRET_ACCESS_KEY)[0] == 200


def test_sessions_end_with_the_server(fresh_server: Server) -> None:
    fresh_server.start()
    body = json.dumps({"secretAccessKey": SECRET_ACCESS_KEY})
    status, headers, text = ask(fresh_server, "POST", "/_abanico/login", {HEADER: "login"}, body)
    assert status == 200
    secrets = {"Cookie": headers["set-cookie"].partition(";")[0], HEADER: json.loads(text)["token"]}
    assert ask(fresh_server, "GET", "/_abanico/jobs", secrets)[0] == 200
    fresh_server.listen = urllib.parse.urlsplit(fresh_server.endpoint).netloc
    assert fresh_server.stop() == 0
    fresh_server.start()
    assert ask(fresh_server, "GET", "/_abanico/jobs", secrets)[0] == 403


def test_cookie_is_bound_to_tls_behind_a_trusted_proxy(fresh_server: Server) -> None:
    fresh_server.config = 'trusted_proxies = ["127.0.0.1"]\n'
    fresh_server.start()
    body = json.dumps({"secretAccessKey": SECRET_ACCESS_KEY})
    by_proxy = {HEADER: "login", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    _, headers, text = ask(fresh_server, "POST", "/_abanico/login", by_proxy, body)
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-abanico=") and "; Secure;" in cookie and "Path=/;" in cookie, cookie
    secrets = {"Cookie": cookie.partition(";")[0], HEADER: json.loads(text)["token"]}
    assert ask(fresh_server, "GET", "/_abanico/jobs", secrets | by_proxy | secrets)[0] == 200
    assert ask(fresh_server, "GET", "/_abanico/jobs", secrets)[0] == 403


def test_only_own_names_are_answered(console: Server) -> None:
    page = {"Accept": "text/html"}
    for path in ("/metrics", "/healthz", "/readyz", "/_abanico/", "/_abanico/script.js"):
        for host, status in (("evil.example", 403), ("localhost:1", 200), ("console.example", 200), ("192.0.2.1", 200)):
            assert ask(console, "GET", path, {"Host": host})[0] == status, (path, host)
    for path in ("/_abanico/jobs", "/_abanico/dead-letters"):
        bearer = {"Authorization": f"Bearer {SECRET_ACCESS_KEY}", "Host": "evil.example"}
        assert ask(console, "GET", path, bearer)[0] == 403, path
    assert "<title>abanico" not in ask(console, "GET", "/", page | {"Host": "evil.example"})[2]
    assert "<title>abanico" in ask(console, "GET", "/", page | {"Host": "console.example"})[2]
