"""What the pages show beside states: the list, search, sightings, copies with evidence, facts, decision, history, unknown keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from board_pages import Browser, Page
from board_story import SHA, Clock, Story

from als_assets.facility import Facility
from als_assets.ledger import Ledger
from als_assets.ledger.database import writing

Tell = Callable[..., Story]


def keys(page: Page) -> list[str]:
    return [e.text for e in page.all("a", cls="key")]


def test_health(browser: Browser) -> None:
    answer = browser.http.get("/health")
    assert (answer.status_code, answer.text) == (200, "ok")


def test_an_empty_record_says_what_will_happen(browser: Browser) -> None:
    page = browser.page("/")
    assert "New files at the detector appear here by themselves" in page.text
    assert page.all("meta")[1].attributes == {"name": "viewport", "content": "width=device-width, initial-scale=1"}


def test_a_mistake_in_the_settings_is_told(browser: Browser, facility: Facility) -> None:
    assert not browser.page("/").all("section", cls="trouble")
    facility.beamlines["bl832"].settings.write_text("quiet_s: 10\nsteps:\n  previw: true\n")
    words = browser.page("/").one("section", cls="trouble").text
    assert "line 3" in words and "previw" in words and "als config check" in words


def test_scans_are_listed_newest_first_with_what_staff_look_for(browser: Browser, tell: Tell, clock: Clock) -> None:
    for n in range(3):
        tell(f"scan_{n}")
        clock.pass_(hours=1)
    page = browser.page("/")
    assert keys(page) == ["scan_2", "scan_1", "scan_0"]
    row = page.all("li", cls="row")[2]
    assert all(words in row.text for words in ("DD-00847", "dd-00847_hexemer", "3 h ago", "12.9 GB", "NERSC (Perlmutter): not yet"))
    assert page.links(row)["scan_0"] == "/scan/scan_0"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("bone", ["bone_a"]),
        ("BONE", ["bone_a"]),
        ("ALS-11532", ["tooth_b"]),
        ("maclean", ["tooth_b"]),
        ("dd-00847 bone", ["bone_a"]),
        ("tooth bone", []),
        ("%", []),
        ("b_ne", []),
        ("' OR 1=1 --", []),
    ],
)
def test_search_by_key_proposal_and_folder(browser: Browser, tell: Tell, query: str, found: list[str]) -> None:
    tell("bone_a")
    tell("tooth_b", proposal="ALS-11532", folder="als-11532_maclean")
    page = Page(browser.http.get("/", params={"q": query}).text)
    assert keys(page) == found
    assert page.one("input").attributes["value"] == query
    assert ("No scan matches" in page.text) is (not found)


def test_long_lists_have_pages(browser: Browser, tell: Tell, clock: Clock) -> None:
    for n in range(53):
        tell(f"scan_{n:03}")
        clock.pass_(seconds=1)
    first = browser.page("/")
    assert len(keys(first)) == 50 and keys(first)[0] == "scan_052"
    older = browser.page(first.links()["Older"])
    assert keys(older) == ["scan_002", "scan_001", "scan_000"] and "Older" not in older.links()
    assert keys(browser.page(older.links()["Newer"])) == keys(first)
    assert keys(browser.page("/?from=-1")) == keys(first) == keys(browser.page("/?from=9999999999"))


def test_sightings_say_why_a_file_is_no_scan(browser: Browser, ledger: Ledger, clock: Clock) -> None:
    ledger.sightings.see("bl832", "a/growing.h5", 3_900_000_000, 1)
    ledger.sightings.see("bl832", "a/broken.h5", 3_400, 1)
    ledger.sightings.refuse("bl832", "a/broken.h5", "The file ends after frame 311 of 1969.", "Acquire it again.")
    clock.pass_(seconds=30)
    page = browser.page("/")
    broken, growing = page.all("li", cls="sighting")
    assert page.one(cls="badge", within=broken).text == "refused" and "frame 311 of 1969" in broken.text
    assert "Acquire it again." in broken.text
    assert page.one(cls="badge", within=growing).text == "being written" and "3.9 GB" in growing.text
    assert page.reloads
    clock.pass_(hours=1)
    later = browser.page("/")
    assert "not seen lately" in later.text and "Last seen 1 h ago" in later.text and not later.reloads
    assert len(browser.page("/?q=broken").all("li", cls="sighting")) == 1


def test_copies_with_site_path_sum_and_evidence(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.copied("nersc832_raw")
    story.made("recon_tiff", variant="1f2e3d4c")
    page = browser.page(f"/scan/{story.key}")
    at_detector, remote, stack = page.all("li", cls="copy")
    assert "its frames were counted" in at_detector.text
    assert page.one("p", cls="path", within=remote).text == f"/cfs/raw/dd-00847_hexemer/{story.key}.h5"
    assert page.one("code", within=remote).text == SHA
    assert "NERSC (Perlmutter)" in remote.text and "mover compared checksums of both sides" in remote.text
    assert "2026-03-01 17:00:30 UTC" in remote.text
    evidence = {dt.text: dd.text for dt, dd in zip(page.all("dt", within=remote), page.all("dd", within=remote), strict=True)}
    assert evidence["copied from"] == "spot832" and evidence["files compared"] == "1"
    assert page.links(remote)["Globus task"].startswith("https://app.globus.org/activity/")
    assert "other parameters 1f2e3d4c" in stack.text and "1001" in stack.text


def test_a_copy_announced_for_deletion_can_be_seen(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    ledger.replicas.announce_pruning(story.copied("data832_raw").id, "due by policy")
    page = browser.page(f"/scan/{story.key}")
    assert "Will be deleted: announced just now. It is kept if an operator places a hold." in page.all("li", cls="copy")[1].text


def test_a_copy_at_a_location_that_left_the_facility_file_counts_for_nothing(browser: Browser, tell: Tell) -> None:
    story = tell(source_location="spot831", source_path="x.h5")
    story.started()
    page = browser.page(f"/scan/{story.key}")
    assert "not in the facility file any more" in page.one("li", cls="copy").text
    assert page.one("p", cls="answer").text.startswith("No:")


def test_a_scan_of_a_beamline_that_is_not_configured_is_still_shown(browser: Browser, tell: Tell) -> None:
    story = tell(beamline="bl733")
    page = browser.page(f"/scan/{story.key}")
    assert "does not name the beamline bl733" in page.one("ol", cls="steps").text


def test_facts_decision_and_history(browser: Browser, tell: Tell, clock: Clock) -> None:
    story = tell(facts={"projections": 1969, "sample_name": "Plug", "camera": "Orca", "warnings": ["The user is unknown."]})
    story.decided()
    clock.pass_(seconds=10)
    story.started()
    page = browser.page(f"/scan/{story.key}")
    rows = {d.text: d.parent.pieces[-1] for d in page.all("dt") if d.parent}
    assert {"Sample", "Projections", "camera", "Site", "raw_on_data832", "May leave the ALS"} <= rows.keys()
    assert "Note: The user is unknown." in page.text
    assert "NERSC (Perlmutter): NERSC (Perlmutter) is the first site that is on and allowed" in page.text
    history = [li.text for li in page.all("li", within=page.one("ol", cls="history"))]
    assert len(history) == 4
    assert history[0].endswith("dataset started run run-1 began") and "dispatch" in history[1]
    assert any("new scan" in row for row in history[2:]) and any("raw at spot832" in row for row in history[2:]), "its first copy too"


def test_history_shows_at_most_a_hundred_rows(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    for n in range(120):
        ledger.audit.note("dataset x", why=f"change {n}", dataset_key=story.key)
    page = browser.page(f"/scan/{story.key}")
    history = page.all("li", within=page.one("ol", cls="history"))
    assert len(history) == 100 and "change 119" in history[0].text


def test_pictures_and_numbers_of_the_preview(browser: Browser, tell: Tell, facility: Facility) -> None:
    story = tell()
    story.pictures(facility.state_dir)
    page = browser.page(f"/scan/{story.key}")
    images = page.all("img")
    assert [i.attributes["src"].rsplit("/")[-1] for i in images] == ["preview_xy.jpg", "preview_xz.jpg", "projection.jpg", "centers.jpg"]
    assert all(i.attributes["alt"] for i in images)
    assert (images[0].attributes["width"], images[0].attributes["height"]) == ("640", "640")
    assert "1281.37 px (vo, high)" in page.text and "1277.40 to 1285.40 px" in page.text
    for image in images:
        assert browser.http.get(image.attributes["src"]).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"center": 3, "images": [], "centers_shown": ["a"]}', '{"images": {"centers.jpg": 1}}']
)
def test_numbers_that_cannot_be_read_do_not_hide_the_pictures(browser: Browser, tell: Tell, facility: Facility, content: str) -> None:
    story = tell()
    (story.pictures(facility.state_dir) / "preview.json").write_text(content)
    assert len(browser.page(f"/scan/{story.key}").all("img")) == 4


def test_an_unknown_key_is_helped(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    tell("20260301_bone_a")
    ledger.sightings.see("bl832", "a/bone_new.h5", 1, 1)
    page = browser.page("/scan/bone", status=404)
    assert keys(page) == ["20260301_bone_a"] and "a/bone_new.h5" in page.text and "is not on record" in page.text
    assert keys(browser.page("/scan/20260301_bome_a", status=404)) == ["20260301_bone_a"]
    assert keys(browser.page("/scan/%", status=404)) == []


def test_an_unknown_page_is_a_page(browser: Browser) -> None:
    page = browser.page("/nowhere", status=404)
    assert "There is no such page." in page.text and page.links()["All scans"] == "/"


def test_a_record_that_cannot_be_read_is_told_and_tried_again(browser: Browser, ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        session.connection().exec_driver_sql("ALTER TABLE datasets RENAME TO elsewhere")
    page = browser.page("/", status=503)
    assert "This says nothing about your data" in page.text and page.reloads
    assert browser.http.get("/health").status_code == 503


def test_the_board_writes_nothing(browser: Browser, tell: Tell, facility: Facility, ledger: Ledger) -> None:
    story = tell()
    story.finished(facility.state_dir)

    def everything() -> dict[str, tuple[int, int]]:
        files: list[Path] = [p for p in facility.state_dir.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm"))]
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    before, rows = everything(), len(ledger.audit.of(story.key))
    for path in ("/", f"/scan/{story.key}", "/scan/other", f"/media/{story.key}/centers.jpg", "/?q=x"):
        browser.http.get(path)
    assert everything() == before and len(ledger.audit.of(story.key)) == rows
