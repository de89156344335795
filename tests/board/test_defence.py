"""Names from outside, ways out of the media folder, methods, headers: what a hostile file name or visitor could try."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from board_pages import Browser, Page
from board_story import Story
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from als_assets.board.links import safe_url
from als_assets.board.media import Media
from als_assets.facility import Facility
from als_assets.ledger import Ledger

Tell = Callable[..., Story]
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE datasets; --",
    "{{ 7 * 7 }}{% raw %}",
    "Grüße 世界 🦷 e\u0301",
    "a&amp;b &lt;i&gt;",
    "\u202egpj.exe",
    "x" * 300,
    "$(reboot) `id` | a,b ; c",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_everywhere(browser: Browser, tell: Tell, ledger: Ledger, name: str) -> None:
    facts = {"sample_name": name, "user": name, "warnings": [name], name: name}
    story = tell(folder=name, file_name=f"{name}.h5", proposal=name, release_reason=name, facts=facts)
    story.decided(preview=name, site=name)
    story.started()
    story.copy_failed("data832_raw", name)
    story.noted("preview", name, name)
    ledger.holds.place(who=name, reason=name, dataset_key=story.key)
    ledger.sightings.see("bl832", f"{name}/{name}.h5", 1, 1)
    ledger.sightings.refuse("bl832", f"{name}/{name}.h5", name, name)
    folded = " ".join(name.split())
    for path in ("/", f"/scan/{story.key}", "/scan/nothing-like-it"):
        page = Page(browser.http.get(path).text)
        assert not page.all("script") and not page.all("i") and not any("onerror" in e.attributes for e in page.elements)
        assert not [e for e in page.all("img") if e.attributes["src"] == "x"]
    page = browser.page(f"/scan/{story.key}")
    assert folded in page.text and folded in browser.page("/").text
    # A name that runs right to left must not turn the words around it.
    assert all(e.tag == "bdi" for e in page.elements if e.text == folded and not [o for o in page.elements if o.parent is e])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_searches_and_keys_are_text(browser: Browser, name: str) -> None:
    page = Page(browser.http.get("/", params={"q": name}).text)
    assert not page.all("script") and page.one("input").attributes["value"] == name[:200]
    unknown = browser.http.get("/scan/" + quote(name, safe=""))
    assert unknown.status_code == 404 and not Page(unknown.text).all("script")


def test_a_name_that_is_no_utf8_does_not_break_the_page(browser: Browser, tell: Tell) -> None:
    broken = os.fsdecode(b"caf\xe9")
    story = tell(facts={"user": broken, "warnings": [f"The user {broken} is unknown."]})
    assert "caf?" in browser.page(f"/scan/{story.key}").text


def test_links_from_the_record_are_web_addresses_or_none(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    _, operation = story.copying("data832_raw")
    story.end(operation, link="javascript:alert(1)")
    page = browser.page(f"/scan/{story.key}")
    assert not [e for e in page.all("a") if not e.attributes["href"].startswith(("/", "#", "http://", "https://"))]


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "//x.org/a", "data:text/html,a", "http:///a", "file:///etc/passwd", 3, None, "http://[::1"]
)
def test_what_is_no_web_address_is_dropped(value: object) -> None:
    assert safe_url(value) == ""


def test_web_addresses_are_kept() -> None:
    assert safe_url("https://app.globus.org/activity/1") == "https://app.globus.org/activity/1"


@pytest.fixture
def folder(tell: Tell, facility: Facility) -> Path:
    """A scan's pictures, with secrets and links to them around."""
    folder = tell("scan_a").pictures(facility.state_dir)
    (facility.state_dir / "secret.json").write_text("secret")
    (facility.state_dir / "media" / "secret.json").write_text("secret")
    (folder / "link.jpg").symlink_to(facility.state_dir / "secret.json")
    (folder / "inner.jpg").symlink_to(folder / "centers.jpg")
    (folder / "notes.txt").write_text("secret")
    (folder / "deep.jpg").mkdir()
    (facility.state_dir / "other").mkdir()
    (facility.state_dir / "other" / "a.jpg").write_text("secret")
    (facility.state_dir / "media" / "scan_link").symlink_to(facility.state_dir / "other")
    return folder


def raw_get(browser: Browser, path: str) -> tuple[int, bytes]:
    """GET of exactly these bytes: no client tidies the path up."""
    url = browser.http.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=20)
    connection.putrequest("GET", path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/media/scan_a/../secret.json",
        "/media/scan_a/..%2fsecret.json",
        "/media/scan_a/%2e%2e/secret.json",
        "/media/scan_a/%2e%2e%2fsecret.json",
        "/media/scan_a/..%252fsecret.json",
        "/media/scan_a/..%5csecret.json",
        "/media/../secret.json",
        "/media/%2e%2e/secret.json",
        "/media/./secret.json",
        "/media//secret.json",
        "/media/scan_a//centers.jpg",
        "/media/scan_a/%2fetc%2fpasswd",
        "/media/scan_a/centers.jpg%00.json",
        "/media/scan_a/link.jpg",
        "/media/scan_a/inner.jpg",
        "/media/scan_a/deep.jpg",
        "/media/scan_a/notes.txt",
        "/media/scan_a/absent.jpg",
        "/media/scan_a/",
        "/media/scan_a",
        "/media/scan_link/a.jpg",
        "/media/scan_a/" + "a" * 300 + ".jpg",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
    ],
)
def test_no_way_out_of_the_media_folder(browser: Browser, folder: Path, path: str) -> None:
    status, body = raw_get(browser, path)
    assert status == 404 and b"secret" not in body.replace(b"secret.json", b"")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["scan_a", "..", ".", "", "scan_link"]) | st.text(max_size=8), name=st.text(alphabet="./\\\0ajpg%", max_size=12))
def test_only_plain_files_of_a_scan_are_ever_found(folder: Path, key: str, name: str) -> None:
    found = Media(folder.parent).file(key, name)
    assert found is None or (found.parent == folder.resolve() and found.is_file() and not found.is_symlink())


def test_media_types_tags_and_revalidation(browser: Browser, folder: Path) -> None:
    first = browser.http.get("/media/scan_a/centers.jpg")
    assert (first.status_code, first.content) == (200, b"\xff\xd8\xffcenters")
    assert first.headers["content-type"] == "image/jpeg" and first.headers["cache-control"] == "no-cache"
    assert first.headers["x-content-type-options"] == "nosniff"
    numbers = browser.http.get("/media/scan_a/preview.json")
    assert numbers.headers["content-type"] == "application/json" and numbers.json()["center"]["method"] == "vo"
    tag = first.headers["etag"]
    again = browser.http.get("/media/scan_a/centers.jpg", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    (folder / "centers.jpg").write_bytes(b"\xff\xd8\xff another picture")
    changed = browser.http.get("/media/scan_a/centers.jpg", headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag


def test_pictures_of_a_key_with_every_allowed_character(browser: Browser, tell: Tell, facility: Facility) -> None:
    key = "20260301_0x20_a.b-c_" + "9" * 170
    tell(key).pictures(facility.state_dir)
    assert browser.http.get(f"/media/{key}/centers.jpg").status_code == 200
    assert len(browser.page(f"/scan/{key}").all("img")) == 4


@pytest.mark.parametrize("path", ["/", "/health", "/scan/scan_a", "/media/scan_a/centers.jpg", "/static/board.css"])
def test_head_answers_like_get_without_a_body(browser: Browser, folder: Path, path: str) -> None:
    got, headed = browser.http.get(path), browser.http.head(path)
    assert headed.status_code == got.status_code == 200 and headed.content == b""
    assert headed.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_every_other_method_is_refused(browser: Browser, method: str) -> None:
    for path in ("/", "/scan/scan_a", "/media/scan_a/centers.jpg", "/static/board.css", "/nowhere"):
        answer = browser.http.request(method, path)
        assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD"
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("path", ["/", "/scan/scan_a", "/scan/unknown", "/nowhere", "/health", "/static/board.css", "/favicon.ico"])
def test_every_answer_carries_the_security_headers(browser: Browser, folder: Path, path: str) -> None:
    headers = browser.http.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["style-src"] == policy["img-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'" and policy["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_pages_obey_their_own_policy(browser: Browser, tell: Tell, facility: Facility) -> None:
    story = tell()
    story.finished(facility.state_dir)
    for path in ("/", f"/scan/{story.key}", "/scan/unknown"):
        page = Page(browser.http.get(path).text)
        assert not page.all("style") and not page.all("script")
        assert not [e for e in page.elements if any(name == "style" or name.startswith("on") for name in e.attributes)]
        assert all(e.attributes["src"].startswith("/media/") for e in page.all("img"))
        assert [e.attributes["href"] for e in page.all("link")] == ["/static/board.css"]
