"""Sweeps: one slice for several values on one sheet, by the chain of the full run, and the pick that is kept.

Here: promises of sweep.py and of the command. What belongs here is choosing. Not here: drawing (``test_preview.py``) and the record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from recon_phantoms import Ellipse, ScanFile, disc

from als_assets.recon.cli import main
from als_assets.recon.errors import BadParameters
from als_assets.recon.views import sweep as module
from als_assets.recon.views.pictures import GAP, STRIP

SAMPLE = (*disc(0.5, 0.1, 0.1), Ellipse(2.0, 0.1, 0.1, -0.2, 0.2))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ScanFile(rows=4, width=96, angles=181, center=49.0, sample=SAMPLE, attenuation_per_cm=3).write(
        tmp_path_factory.mktemp("scan") / "s.h5"
    )


def run(scan: Path, out: Path, *arguments: str) -> int:
    return main(["sweep", str(scan), "--output", str(out), *arguments])


def test_centres_from_to_on_one_sheet(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(scan, tmp_path, "--parameter", "center", "--from", "45", "--to", "53", "--steps", "5") == 0
    record = json.loads((tmp_path / "sweep_center.json").read_bytes())
    assert record["values"] == [45, 47, 49, 51, 53]
    assert record["row"] == 2
    with Image.open(tmp_path / "sweep_center.jpg") as picture:
        assert picture.size == (record["image"]["width_px"], record["image"]["height_px"])
        sheet = np.asarray(picture, np.float64)
    assert (tmp_path / "sweep_center.jpg").stat().st_size <= 150_000
    side = (sheet.shape[1] - 4 * GAP) // 3
    places = [(STRIP + line * (side + STRIP + GAP) + STRIP, GAP + column * (side + GAP)) for line in (0, 1) for column in (0, 1, 2)]
    sharp = [np.percentile(np.hypot(*np.gradient(sheet[y : y + side, x : x + side])), 99.5) for y, x in places[:5]]
    assert np.argmax(sharp) == 2, "the true centre is the sharpest"
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["output"].endswith("sweep_center.jpg")


def test_without_bounds_centres_lie_about_the_estimate(scan: Path, tmp_path: Path) -> None:
    assert run(scan, tmp_path, "--steps", "3") == 0
    values = json.loads((tmp_path / "sweep_center.json").read_bytes())["values"]
    assert values[1] == pytest.approx(49, abs=0.25)
    assert values[2] - values[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [("ring_removal", "none,smoothing,sorting", ["none", "smoothing", "sorting"]), ("ring_size", "5, 21", [5, 21])],
)
def test_words_and_whole_numbers(scan: Path, tmp_path: Path, name: str, values: str, expected: list[Any]) -> None:
    assert run(scan, tmp_path, "--parameter", name, "--values", values, "--row", "1", "--center", "49") == 0
    record = json.loads((tmp_path / f"sweep_{name}.json").read_bytes())
    assert (record["values"], record["row"]) == (expected, 1)


def test_corrections_of_whole_projections_can_be_swept_and_leave_nothing_behind(scan: Path, tmp_path: Path) -> None:
    assert run(scan, tmp_path, "--parameter", "tilt_deg", "--from", "-1", "--to", "1", "--steps", "2", "--center", "49") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep_tilt_deg.jpg", "sweep_tilt_deg.json"]


def test_a_slice_is_that_of_the_full_run(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    honest = module._details

    def details(images: Any) -> Any:
        seen.extend(images)
        return honest(images)

    monkeypatch.setattr(module, "_details", details)
    assert run(scan, tmp_path, "--from", "48", "--to", "49", "--steps", "2", "--row", "3") == 0
    assert main(["reconstruct", str(scan), "--output", str(tmp_path), "--center", "49"]) == 0
    full = tifffile.imread(tmp_path / "recs" / "s_00003.tiff")
    assert np.abs(seen[1] - full).max() < 1e-3 * np.abs(full).max()


def test_a_pick_is_kept_and_taken_by_the_full_run(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(scan, tmp_path, "--parameter", "ring_removal", "--pick", "smoothing") == 0
    assert run(scan, tmp_path, "--parameter", "center", "--pick", "48.75") == 0
    assert yaml.safe_load((tmp_path / "parameters.yaml").read_text()) == {"center": 48.75, "ring_removal": "smoothing"}
    assert f"--params {tmp_path / 'parameters.yaml'}" in capsys.readouterr().out
    assert main(["reconstruct", str(scan), "--output", str(tmp_path), "--params", str(tmp_path / "parameters.yaml")]) == 0
    record = json.loads((tmp_path / "recs" / "parameters.json").read_bytes())
    assert record["center"]["value"] == 48.75
    assert record["parameters"]["ring_removal"] == "smoothing"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--parameter", "colour", "--from", "1", "--to", "2"],
        ["--parameter", "filter_cutoff", "--from", "1", "--to", "2"],
        ["--parameter", "ring_size"],
        ["--from", "1", "--to", "2", "--steps", "1"],
        ["--from", "1", "--to", "2", "--steps", "99"],
        ["--values", "1"],
        ["--values", "48,49", "--row", "4"],
        ["--parameter", "colour", "--pick", "red"],
        ["--parameter", "center", "--pick", "somewhere"],
    ],
)
def test_nonsense_is_refused_in_words(scan: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(scan, tmp_path, *arguments) == 20
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.glob("*.jpg")) and not (tmp_path / "parameters.yaml").exists()


@given(first=st.floats(-100, 100), span=st.floats(0.1, 100), steps=st.integers(2, 36))
def test_values_are_even_and_hold_both_ends(first: float, span: float, steps: int) -> None:
    values = module.values_between(first, first + span, steps)
    assert len(values) == steps
    assert (values[0], values[-1]) == (pytest.approx(first, abs=1e-6), pytest.approx(first + span, abs=1e-6))
    assert np.allclose(np.diff(values), span / (steps - 1), atol=3e-6)


def test_too_many_values_are_refused() -> None:
    with pytest.raises(BadParameters):
        module.values_of(",".join(map(str, range(40))))
