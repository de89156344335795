"""A member of staff at the screen: finds the graph, a scan, its pictures and evidence, and reconstructs it with another centre.

Here: clicks in a real browser. Not here: what the buttons do (``test_path``, ``test_faults``). With ALS_DOC_PICTURES set to a folder,
the screenshots are kept there for the documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.world import World

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed (see tests/browser-setup.sh)"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LIMIT_MS = 30_000


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(LIMIT_MS)
        expect.set_options(timeout=LIMIT_MS)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def key(shared_world: World) -> str:
    """A scan that went all the way."""
    shared_world.set_steps(preview=True, raw_on_nersc=True, scicat_record=True, reconstruction=True, bring_back=True)
    shared_world.drop_scan("seen_by_staff", seed=31, rows=16, columns=128)
    key = shared_world.dataset("seen_by_staff").key
    shared_world.wait_run(key, "SUCCESS", limit_s=180)
    return key


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("ALS_DOC_PICTURES")
    if folder:
        page.wait_for_timeout(1500)  # animations
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_asset_graph_opens_as_a_picture(shared_world: World, key: str, page: Page) -> None:
    page.goto(shared_world.processes.dagster_url)
    page.get_by_role("link", name="Lineage").first.click()
    for asset in ("raw_on_spot832", "raw_on_data832", "raw_on_nersc", "preview", "recon_tiff", "recon_zarr", "recon_on_data832"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    page.goto(f"{shared_world.processes.dagster_url}/locations/als-assets/asset-groups/bl832/lineage")
    expect(page.get_by_text("raw_on_data832", exact=True).first).to_be_visible()
    keep(page, "asset-graph")


def test_partition_shows_pictures_and_evidence_without_a_click(shared_world: World, key: str, page: Page) -> None:
    page.goto(f"{shared_world.processes.dagster_url}/assets/preview?view=partitions")
    page.get_by_text(key, exact=True).first.click()
    picture = page.locator("img[alt='preview xy']")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0"), "the picture is really loaded"
    keep(page, "partition-preview")
    page.goto(f"{shared_world.processes.dagster_url}/assets/raw_on_nersc?view=partitions&partition={key}")
    expect(page.get_by_text("SHA-256", exact=True)).to_be_visible()
    sha256 = shared_world.ledger.replicas.of(key, product="raw", location="nersc832_alsdev_raw")[0].sha256
    expect(page.get_by_text(str(sha256))).to_be_visible()
    keep(page, "partition-evidence")


def test_another_centre_from_the_launchpad(shared_world: World, key: str, page: Page) -> None:
    page.goto(f"{shared_world.processes.dagster_url}/assets/recon_tiff?view=partitions&partition={key}")
    page.get_by_role("button", name="Materialize…").first.click()
    page.get_by_text("Config", exact=True).click()
    page.get_by_role("button", name="Add config").click()
    page.locator(".CodeMirror").click()
    page.keyboard.insert_text("ops: {recon_tiff: {config: {center: '61.5'}}}")
    expect(page.get_by_text("No errors")).to_be_visible()
    keep(page, "launchpad-config")
    page.get_by_role("button", name="Save config").click()
    page.set_extra_http_headers({"X-Forwarded-User": "grace"})  # as the login proxy in front names her
    page.get_by_role("button", name="Launch 1 run").click()
    run = shared_world.wait_run(key, "SUCCESS", "FAILURE", count=2, limit_s=120)
    page.set_extra_http_headers({})
    assert (run.status.value, run.tags["als/who"]) == ("SUCCESS", "grace")
    assert {row.who for row in shared_world.ledger.audit.of(key) if run.run_id in row.who} == {f"grace (run {run.run_id})"}
    stacks = shared_world.ledger.replicas.of(key, product="recon_tiff", location="nersc832_alsdev_pscratch_scratch")
    assert [bool(s.variant) for s in stacks] == [True, False], "the newest is the variant; the standard result is still there"
    page.goto(f"{shared_world.processes.dagster_url}/assets/recon_tiff?view=partitions&partition={key}")
    expect(page.get_by_text('{"center": 61.5}')).to_be_visible()


def test_board_answers_is_my_data_safe_on_a_phone(shared_world: World, key: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"http://127.0.0.1:{shared_world.box.ports.board}/")
    page.get_by_role("link", name=key).first.click()
    expect(page.get_by_text("safe").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing to scroll sideways"
    keep(page, "board-phone")
    page.set_viewport_size({"width": 1500, "height": 950})
    page.reload()
    keep(page, "board-scan")
