"""The viewer: which volume a page shows, what it says where there is none, its files, and every way out of a store that fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import zarr
from board_pages import Browser
from board_story import Story, facility_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from als_assets.board import neuroglancer
from als_assets.board.standalone import build_store_app, serve_store
from als_assets.board.stores import Store
from als_assets.errors import ConfigError
from als_assets.facility import Facility
from als_assets.ledger import Ledger
from als_assets.recon.sinks import Volume
from als_assets.recon.volume.zarrsink import zarr_sink

Tell = Callable[..., Story]
KITWARE = "https://kitware.github.io/itk-vtk-viewer/app/?fileToLoad={store}"


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``0.4/recs.zarr`` and ``0.5/recs.zarr``: 130 x 130 x 130 voxels."""
    folder = tmp_path_factory.mktemp("stores")
    data = np.random.default_rng(0).normal(2, 1, (130, 130, 130)).astype(np.float32)
    for version in ("0.4", "0.5"):
        (folder / version).mkdir()
        with zarr_sink(Volume("s", folder / version, data.shape, 0.00065, {}), version) as sink:
            sink.write(0, data)
            sink.finish({})
    return folder


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    """Results are on a disk of this machine, scratch at NERSC is not; itk-vtk-viewer is known."""
    (tmp_path / "bl832.yaml").write_text("quiet_s: 10\n")
    document = facility_document(tmp_path / "state")
    document["locations"]["data832_scratch"]["root"] = str(tmp_path / "scratch")
    document["viewers"] = {"itk-vtk-viewer": KITWARE}
    return Facility.model_validate(document)


@pytest.fixture
def told(tell: Tell, stores: Path, tmp_path: Path) -> Story:
    """A finished scan whose volume is really there."""
    story = tell()
    story.finished(tmp_path / "state")
    place = tmp_path / "scratch" / "dd-00847_hexemer" / f"rec{story.key}.zarr"
    shutil.copytree(stores / "0.4" / "recs.zarr", place, copy_function=os.link)
    return story


def shown(browser: Browser, key: str) -> dict[str, Any]:
    frame = browser.page(f"/view/{key}").one("iframe", id="viewer")
    state: dict[str, Any] = json.loads(frame.attributes["data-state"])
    return state


def test_one_click_shows_the_volume_that_this_machine_sees(browser: Browser, told: Story) -> None:
    state = shown(browser, told.key)
    layer = state["layers"][0]
    assert layer["source"].endswith(f"/rec{told.key}.zarr/|zarr2:")
    assert state["position"] == [65, 65, 65]
    assert state["dimensions"]["x"] == [pytest.approx(0.65e-6), "m"]
    low, high = layer["shaderControls"]["normalized"]["range"]
    assert 0.5 < low < 2 < high < 3.5
    address = layer["source"].split("|")[0]
    described = browser.http.get(f"{address}scale0/image/.zarray").json()
    assert described["shape"] == [130, 130, 130]
    block = browser.http.get(f"{address}scale0/image/0/0/0")
    assert block.status_code == 200 and len(block.content) > 1000
    assert browser.http.get(f"{address}scale0/image/7/7/7").status_code == 404, "readers take it for zeros"


def test_the_scan_s_page_leads_there(browser: Browser, told: Story) -> None:
    links = browser.page(f"/scan/{told.key}").links()
    assert links["Look at the volume"] == f"/view/{told.key}"
    assert browser.page(f"/view/{told.key}").links()[told.key] == f"/scan/{told.key}"


def test_parts_of_a_block_by_range(browser: Browser, told: Story) -> None:
    address = shown(browser, told.key)["layers"][0]["source"].split("|")[0] + "scale0/image/0/0/0"
    whole = browser.http.get(address).content
    part = browser.http.get(address, headers={"Range": "bytes=10-29"})
    assert (part.status_code, part.content) == (206, whole[10:30])
    assert part.headers["Content-Range"] == f"bytes 10-29/{len(whole)}"
    assert browser.http.get(address, headers={"Range": "bytes=-4"}).content == whole[-4:]
    assert browser.http.get(address, headers={"Range": f"bytes={len(whole) + 5}-"}).status_code == 416
    assert browser.http.head(address).headers["Content-Length"] == str(len(whole))


def test_a_volume_at_nersc_is_named_with_what_to_do(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.made("recon_zarr")
    words = browser.page(f"/view/{story.key}").text
    assert "The volume is at NERSC (Perlmutter), which this machine does not see: /pscratch/scratch/" in words
    assert "Materialize recon_on_data832" in words and "als view /pscratch/scratch/" in words


def test_a_copy_that_went_behind_our_back_is_not_shown(browser: Browser, told: Story, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "scratch")
    assert "which this machine does not see" in browser.page(f"/view/{told.key}").text


def test_no_volume_yet_and_no_such_scan(browser: Browser, tell: Tell) -> None:
    words = browser.page(f"/view/{tell().key}").text
    assert "There is no multi-resolution volume of this scan yet." in words and "Materialize recon_zarr" in words
    assert "There is no scan of that name." in browser.page("/view/nothing-like-it", 404).text


def test_a_damaged_store_is_said(browser: Browser, told: Story, tmp_path: Path) -> None:
    store = next((tmp_path / "scratch").rglob("*.zarr"))
    for described in (store / "scale0" / "image" / ".zarray", store / ".zattrs"):
        content = described.read_bytes()
        described.unlink()  # the files are links to those of other tests
        described.write_bytes(content)
    (store / "scale0" / "image" / ".zarray").write_text("{")
    assert "names an array 'scale0/image' that cannot be read" in browser.page(f"/view/{told.key}").text
    (store / ".zattrs").write_text("[]")
    assert "is not an OME-Zarr image" in browser.page(f"/view/{told.key}").text


def test_other_copies_by_number(browser: Browser, told: Story, ledger: Ledger) -> None:
    remote = next(r for r in ledger.replicas.of(told.key, product="recon_zarr") if r.location == "nersc832_scratch")
    page = browser.page(f"/view/{told.key}?copy={remote.id}")
    assert "NERSC" in page.text
    back = next(url for name, url in page.links().items() if "ALS (data832)" in name)
    assert browser.page(back).one("iframe")


def test_another_program_gets_the_address_and_may_read(browser: Browser, told: Story) -> None:
    page = browser.page(f"/view/{told.key}")
    link = page.links()["itk-vtk-viewer"]
    assert link.startswith("https://kitware.github.io/itk-vtk-viewer/app/?fileToLoad=http%3A%2F%2F127.0.0.1")
    assert link.endswith(".zarr")
    address = json.loads(page.one("iframe").attributes["data-state"])["layers"][0]["source"].split("|")[0] + ".zattrs"
    allowed = browser.http.get(address, headers={"Origin": "https://kitware.github.io"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://kitware.github.io"
    assert "Access-Control-Allow-Origin" not in browser.http.get(address, headers={"Origin": "https://evil.example"}).headers


@pytest.mark.parametrize("pattern", ["https://example.org/?file=", "javascript:alert('{store}')"])
def test_patterns_that_lead_nowhere_are_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValidationError):
        Facility.model_validate({**facility_document(tmp_path), "viewers": {"x": pattern}})


OUT = [
    "../../bl832.yaml",
    "..%2f..%2fbl832.yaml",
    "%2e%2e/%2e%2e/bl832.yaml",
    "scale0/../../secret",
    "scale0/image/%2e%2e/%2e%2e/.zattrs",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "scale0//image/.zarray",
    ".hidden",
    "scale0/.secret/0",
    "scale0",
    "",
    "a" * 600,
    "link",
    "linked/.zattrs",
    "%00",
    "scale0%00",
    "scale0\\image",
]


def test_ways_out_of_a_store_lead_nowhere(browser: Browser, told: Story, tmp_path: Path) -> None:
    store = next((tmp_path / "scratch").rglob("*.zarr"))
    (store.parent / "secret").write_text("secret")
    (store / ".hidden").write_text("secret")
    (store / "scale0" / ".secret").mkdir()
    (store / "scale0" / ".secret" / "0").write_text("secret")
    (store / "link").symlink_to(store.parent / "secret")
    (store / "linked").symlink_to(store / "scale0")
    address = shown(browser, told.key)["layers"][0]["source"].split("|")[0]
    for path in OUT:
        answer = browser.http.get(httpx.URL(str(browser.http.base_url).rstrip("/") + address + path), follow_redirects=True)
        assert answer.status_code == 404 and "secret" not in answer.text, path


def test_a_store_that_is_a_link_out_of_its_location_is_not_shown(browser: Browser, told: Story, tmp_path: Path, stores: Path) -> None:
    store = next((tmp_path / "scratch").rglob("*.zarr"))
    shutil.rmtree(store)
    store.symlink_to(stores / "0.4" / "recs.zarr")
    assert "which this machine does not see" in browser.page(f"/view/{told.key}").text


def test_wrong_numbers_and_names_lead_nowhere(browser: Browser, told: Story, ledger: Ledger) -> None:
    number = ledger.replicas.of(told.key, product="recon_zarr")[0].id
    for address in (f"{told.key}/999/rec.zarr", "nobody/1/rec.zarr", f"{told.key}/{number}/other"):
        assert browser.http.get(f"/volume/{address}/.zattrs").status_code == 404


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.text(min_size=0, max_size=60))
def test_whatever_is_asked_for_stays_inside(stores: Path, path: str) -> None:
    store = Store.open(stores / "0.4" / "recs.zarr")
    found = store.file(path)
    assert found is None or (found.is_relative_to(store.folder) and found.is_file())


def test_the_program_s_files_and_their_policy(browser: Browser) -> None:
    page = browser.http.get("/neuroglancer/v/board/")
    assert page.status_code == 200 and "<script" in page.text
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
    for name in sorted(path.name for path in neuroglancer.client_folder().iterdir() if path.suffix in (".js", ".wasm", ".css")):
        answer = browser.http.get(f"/neuroglancer/v/board/{name}")
        assert answer.status_code == 200 and answer.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("../__init__.py", "..%2f__init__.py", "none.js", "__init__.py"):
        assert browser.http.get(f"/neuroglancer/v/board/{name}").status_code == 404
    assert browser.http.post("/neuroglancer/state/board").status_code == 405, "the board changes nothing"


def test_without_the_program_the_page_says_how_to_get_it(browser: Browser, told: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuroglancer.importlib.util, "find_spec", lambda _name: None)
    page = browser.page(f"/view/{told.key}")
    assert not page.all("iframe") and "pip install 'als-assets[viewer]'" in page.text


def test_stores_of_both_generations_and_of_other_people(stores: Path, tmp_path: Path) -> None:
    newer = Store.open(stores / "0.5" / "recs.zarr")
    state = neuroglancer.state(newer, (130, 130, 130), "/s/")
    assert (newer.zarr, state["layers"][0]["source"]) == (3, "/s/|zarr3:")
    group = zarr.open_group(tmp_path / "theirs.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(2, 4, 8, 8), chunks=(1, 4, 8, 8), dtype="u1")
    axes = [{"name": "c", "type": "channel"}] + [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    transformations = [{"type": "scale", "scale": [1, 5, 4, 3]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    ]
    theirs = neuroglancer.state(Store.open(tmp_path / "theirs.zarr"), (2, 4, 8, 8), "/s/")
    assert {name: size for name, (size, _) in theirs["dimensions"].items()} == pytest.approx({"x": 3e-9, "y": 4e-9, "z": 5e-9})
    assert theirs["position"] == [4, 4, 2]
    assert theirs["layers"][0]["shaderControls"] == {"normalized": {}}


@pytest.mark.parametrize("content", [None, "", "{}", '{"multiscales": []}', '{"multiscales": "x"}'])
def test_what_is_no_store_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".zattrs").write_text(content)
    with pytest.raises(ConfigError, match="is not an OME-Zarr image"):
        build_store_app(tmp_path)


def test_als_view_serves_any_store_until_it_is_stopped(stores: Path) -> None:
    command = [sys.executable, "-c", "from als_assets.cli import main; main()", "view", str(stores / "0.5" / "recs.zarr"), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split(" is shown at ")[1].split()[0]
        browser = Browser(address.rstrip("/"))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                browser.http.get("/")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        state = json.loads(browser.page("/").one("iframe").attributes["data-state"])
        address = state["layers"][0]["source"].split("|")[0]
        assert address == "/volume/recs.zarr/"
        assert browser.http.get(f"{address}zarr.json").json()["attributes"]["ome"]["version"] == "0.5"
        assert browser.http.get(f"{address}%2e%2e/zarr.json").status_code == 404
        browser.http.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130, -signal.SIGINT)
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_said(stores: Path, browser: Browser) -> None:
    port = browser.http.base_url.port
    assert port is not None
    with pytest.raises(ConfigError, match=f"Port {port} of this machine cannot be used"):
        serve_store(stores / "0.4" / "recs.zarr", port, lambda _address: None)
