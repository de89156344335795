"""Viewers in a real browser: they ask for blocks of the store and draw them, for both generations of OME-Zarr.

Here: Neuroglancer as the board and ``als view`` serve it, and itk-vtk-viewer from npm where npm can be reached. Not here: addresses and
jails (``test_viewer``). With ALS_DOC_PICTURES set to a folder, the screenshots are kept there for the documentation.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, Response, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from als_assets.board.standalone import build_store_app
from als_assets.recon.sinks import Volume
from als_assets.recon.volume.zarrsink import zarr_sink

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed (see tests/browser-setup.sh)"),
]
# Graphics by software: there is no graphics processor on a test machine.
GRAPHICS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
LIMIT_MS = 90_000


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bright ball in a dim cube, left of the middle."""
    z, y, x = np.mgrid[:96, :96, :96]
    ball = np.where((x - 30) ** 2 + (y - 48) ** 2 + (z - 48) ** 2 < 20**2, 8.0, 1.0).astype(np.float32)
    found = {}
    for version in ("0.4", "0.5"):
        folder = tmp_path_factory.mktemp("v")
        with zarr_sink(Volume("ball", folder, (96, 96, 96), 0.00065, {}), version) as sink:
            sink.write(0, ball)
            found[version] = sink.finish({}).path
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=GRAPHICS)
        yield browser
        browser.close()


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def pixels(page: Page) -> np.ndarray:
    with Image.open(io.BytesIO(page.screenshot(timeout=LIMIT_MS))) as picture:
        return np.asarray(picture.convert("L"), np.float64)


def until_ball(page: Page, rows: slice, columns: slice) -> np.ndarray:
    """The part of the page where the ball must appear, once it is drawn: bright at its place, dim beside it."""
    for _ in range(LIMIT_MS // 250):
        part = pixels(page)[rows, columns]
        if (part > 200).mean() > 0.05:
            return part
        page.wait_for_timeout(250)
    raise AssertionError("nothing bright was drawn")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_neuroglancer_asks_for_blocks_and_draws_them(chromium: Browser, stores: dict[str, Path], version: str) -> None:
    asked: list[str] = []
    troubles: list[str] = []
    page = chromium.new_page(viewport={"width": 1200, "height": 800})

    def heard(response: Response) -> None:
        if "/volume/" in response.url and response.status in (200, 206):
            asked.append(response.url.split(".zarr/")[1])

    page.on("response", heard)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if "Content Security Policy" in message.text else None)
    with served(build_store_app(stores[version])) as address:
        page.goto(address)
        upper_left = until_ball(page, slice(80, 430), slice(0, 600))
        if os.environ.get("ALS_DOC_PICTURES"):
            page.wait_for_timeout(3000)
            page.screenshot(path=str(Path(os.environ["ALS_DOC_PICTURES"]) / f"viewer-{version}.png"))
        page.close()
    bright = np.argwhere(upper_left > 200)
    assert bright[:, 1].mean() < 300, "the ball is left of the middle"
    assert 0.02 < (upper_left > 200).mean() < 0.5, "and not everything is bright"
    block = "scale0/image/0/0/0" if version == "0.4" else "scale0/image/c/0/0/0"
    assert block in asked
    assert not troubles


@pytest.fixture(scope="module")
def itk_viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its program, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, so itk-vtk-viewer cannot be had")
    folder = tmp_path_factory.mktemp("npm")
    named = os.environ.get("ALS_TEST_ITK_VTK_VIEWER", "")
    if not named:
        pytest.skip("set ALS_TEST_ITK_VTK_VIEWER to a package file made by: npm pack itk-vtk-viewer")
    with tarfile.open(named) as package:
        package.extractall(folder, filter="data")
    return folder / "package" / "dist"


def test_itk_vtk_viewer_draws_the_default_form(chromium: Browser, stores: dict[str, Path], itk_viewer: Path) -> None:
    """A plane through the middle; the volume itself would take it minutes without a graphics processor."""
    asked: list[str] = []
    troubles: list[str] = []
    page = chromium.new_page(viewport={"width": 400, "height": 300})
    page.on("response", lambda response: asked.append(response.url) if ".zarr/" in response.url and response.status == 200 else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    app = build_store_app(stores["0.4"])
    app.routes.append(Mount("/itk", StaticFiles(directory=itk_viewer, html=True)))
    app.user_middleware.clear()  # the program runs under its own page's rules
    with served(app) as address:
        store = quote(address + "/volume/recball.zarr", safe="")
        shown = f"fileToLoad={store}&viewMode=ZPlane&use2D=true"
        page.goto(f"{address}/itk/index.html?{shown}", wait_until="domcontentloaded", timeout=LIMIT_MS)
        cube, ball = until_plane(page)
        if os.environ.get("ALS_DOC_PICTURES"):
            page.screenshot(path=str(Path(os.environ["ALS_DOC_PICTURES"]) / "itk-vtk-viewer.png"))
        page.close()
    assert any("/scale0/image/0/0/0" in url for url in asked), json.dumps(asked)
    assert not troubles
    side = np.ptp(cube[:, 1]) + 1
    ball = ball[ball[:, 1] < cube[:, 1].min() + 0.6 * side]  # words lie over the right part
    assert (ball[:, 1].mean() - cube[:, 1].min()) / side == pytest.approx(30 / 96, abs=0.04), "left of the middle"
    assert len(ball) / side**2 == pytest.approx(np.pi * 20**2 / 96**2, rel=0.1)


def until_plane(page: Page) -> tuple[np.ndarray, np.ndarray]:
    """Places of the dim pixels of the cube and of the bright ones of the ball, once both are drawn; the page is between them."""
    for _ in range(LIMIT_MS // 250):
        shades = pixels(page)[:200, 100:]  # beside and above the controls
        cube, ball = np.argwhere(shades < 20), np.argwhere((shades > 180) & (shades < 205))
        if len(cube) > 1000 and len(ball) > 300:
            return cube, ball
        page.wait_for_timeout(250)
    raise AssertionError("no plane was drawn")
