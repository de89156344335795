"""A product of a scan made at OLCF with proof, and the files of a site that only Globus sees."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path, PurePosixPath

import pytest
from facility_in_a_box import Bench

from als_assets.errors import ConfigError, ServiceUnreachable
from als_assets.simulator.box_olcf import OLCF, ORION
from als_assets.transfer import site_files
from als_assets.transfer.site_files import SiteFiles

ROWS = 3


# --- files that only Globus sees -----------------------------------------------------------------------------------------------


@pytest.fixture
def files(bench: Bench) -> SiteFiles:
    return SiteFiles(bench.platform.facility, "olcf", "data832_scratch", lambda: bench.platform.movers["mover"])


def place(bench: Bench, name: str) -> PurePosixPath:
    folder = bench.box.root / f"olcf{ORION}/logs"
    folder.mkdir(parents=True, exist_ok=True)
    return PurePosixPath(folder / name)


@pytest.fixture
def inbox(bench: Bench) -> Path:
    """Where logs arrive, without what killed processes of other tests left there."""
    folder = bench.box.results / ".als-assets-logs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def test_the_end_of_a_log(bench: Bench, files: SiteFiles, inbox: Path) -> None:
    log = place(bench, "with 'quotes' $(x).err")
    (bench.box.root / log).write_bytes(b"".join(b"line %d\n" % n for n in range(5000)) + b"\xff\n")

    assert files.tail(log, 2) == "line 4999\n�"
    assert files.tail(place(bench, "absent"), 2) == ""
    assert files.listing(log) == {"": (bench.box.root / log).stat().st_size}
    assert files.listing(place(bench, "absent")) is None
    assert list(inbox.iterdir()) == []


def test_what_killed_processes_left_is_removed_after_a_day(bench: Bench, files: SiteFiles, inbox: Path) -> None:
    for name, age_s in (("old", 90_000), ("fresh", 100)):
        (inbox / name).mkdir()
        os.utime(inbox / name, (time.time() - age_s,) * 2)
    (bench.box.root / place(bench, "a.err")).write_text("x")

    assert files.tail(place(bench, "a.err"), 1) == "x"
    assert [left.name for left in inbox.iterdir()] == ["fresh"]


def test_a_log_that_globus_cannot_fetch_says_nothing_about_the_job(bench: Bench, files: SiteFiles, inbox: Path) -> None:
    log = place(bench, "broken.err")
    (bench.box.root / log).write_text("x")
    bench.control.add_fault(where="transfer", action="fail", collection=OLCF)

    with pytest.raises(ServiceUnreachable, match=r"The log .*broken\.err could not be fetched"):
        files.tail(log, 1)

    assert list(inbox.iterdir()) == []
    assert files.tail(log, 1) == "x"


def test_a_log_that_takes_too_long_is_given_up(bench: Bench, files: SiteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_files, "_TIMEOUT_S", 0.2)
    log = place(bench, "slow.err")
    (bench.box.root / log).write_text("x")
    bench.control.add_fault(where="transfer", action="stall", collection=OLCF)

    with pytest.raises(ServiceUnreachable, match="could not be fetched"):
        files.tail(log, 1)

    task = next(one for one in bench.control.tasks() if "slow.err" in (one["label"] or ""))
    bench.control.wait_for(
        lambda: next(one for one in bench.control.tasks() if one["task_id"] == task["task_id"])["status"] == "FAILED", what="the end"
    )


def test_a_folder_that_no_location_holds(files: SiteFiles) -> None:
    with pytest.raises(ConfigError, match="No location of site 'olcf' holds /elsewhere/x"):
        files.tail(PurePosixPath("/elsewhere/x"), 1)
