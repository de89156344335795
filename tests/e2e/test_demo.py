"""``als demo`` as a user runs it: real input to its end, and nothing left behind.

Here: the command from outside. Not here: what happens inside (``test_path``). The real scan is used where it lies beside the project
or where ALS_TEST_TOOTH names it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from als_assets.demo.processes import Processes
from als_assets.simulator.box import Ports, make_box
from als_assets.simulator.detector import synthetic_scan
from tests.e2e.world import REPOSITORY

TOOTH = Path(os.environ.get("ALS_TEST_TOOTH", REPOSITORY.parent / "shared" / "data" / "tooth.h5"))


# As a terminal starts it: what runs in the background of a shell has Ctrl-C switched off, and so have its children.
ALS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from als_assets.cli import main; main()"


def demo(state: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ALS, "demo", "--state", str(state), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY)


def finish(process: subprocess.Popen[str], limit_s: float) -> str:
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, _ = process.communicate(timeout=60)
        pytest.fail(f"the demo did not end within {limit_s} s:\n{output}")
    return output


def left_behind(state: Path) -> list[int]:
    box = make_box(state, Ports(1, 2, 3))
    return Processes(box, state, REPOSITORY).dagster_processes()


@pytest.mark.skipif(not TOOTH.exists(), reason=f"the real scan is not here: {TOOTH.name} (set ALS_TEST_TOOTH to its path)")
def test_real_scan_goes_all_the_way(tmp_path: Path) -> None:
    state = tmp_path / "als"
    process = demo(state, "--exit", "--scan", str(TOOTH))
    output = finish(process, 240)
    assert process.returncode == 0, output
    assert "1 of 1 scans came to their end." in output
    for asset in ("raw_on_data832", "raw_on_nersc", "recon_tiff", "recon_zarr", "recon_on_data832", "scicat_record", "scicat_recon_record"):
        assert asset in output
    stacks = list((state / "box" / "data832" / "data" / "scratch" / "globus_share").glob("*/rec*/*.tiff"))
    assert len(stacks) == 2, "the tooth has two rows"
    assert left_behind(state) == []


def test_users_own_file_that_is_no_scan_is_refused_at_once(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.h5"
    wrong.write_text("no HDF5")
    process = demo(tmp_path / "als", "--exit", "--scan", str(wrong))
    output = finish(process, 60)
    assert process.returncode == 1
    assert "notes.h5" in output
    assert "Next step" in output
    assert "Traceback" not in output


def test_interrupt_stops_everything(tmp_path: Path) -> None:
    own = tmp_path / "own.h5"
    synthetic_scan(own, rows=4, columns=64, angles=31)
    state = tmp_path / "als"
    process = demo(state, "--scan", str(own))
    end = time.monotonic() + 120
    while not (state / "logs" / "dagster-daemon.log").exists():
        assert time.monotonic() < end
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output = finish(process, 90)
    assert process.returncode == 0, output
    assert left_behind(state) == []
