"""A watched folder with real scan files. Here: fixtures. Not here: any promise."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
sys.path.insert(0, str(Path(__file__).parents[1] / "facility"))
sys.path.insert(0, str(Path(__file__).parent))

from facility_kit import facility_at
from intake_kit import Put, Settled, Spoil
from ledger_kit import Clock, fresh_ledger

from als_assets.beamlines.bl832 import BL832
from als_assets.errors import AlsError
from als_assets.facility import Facility
from als_assets.facility.settings import Settings
from als_assets.intake import Intake
from als_assets.ledger import Ledger
from als_assets.simulator.detector import synthetic_scan


@pytest.fixture(scope="session")
def complete_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small complete scan; tests copy it."""
    path = tmp_path_factory.mktemp("detector") / "scan.h5"
    synthetic_scan(path, rows=4, columns=32, angles=9)
    return path


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    return facility_at(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(facility: Facility, clock: Clock) -> Iterator[Ledger]:
    opened = fresh_ledger(facility.state_dir, clock)
    yield opened
    opened.close()


@pytest.fixture
def intake(facility: Facility, ledger: Ledger) -> Intake:
    return Intake(facility, ledger, BL832)


@pytest.fixture
def watched(intake: Intake) -> Path:
    return intake.root


@pytest.fixture
def settings() -> Settings:
    return Settings(quiet_s=10)


@pytest.fixture
def put(watched: Path, complete_scan: Path) -> Put:
    """Put a complete scan below the watched folder under any name (text or bytes)."""

    def make(name: str | bytes = "dla-00847_doe/sand.h5", edit: Spoil | None = None) -> Path:
        relative = Path(name.decode("utf-8", "surrogateescape")) if isinstance(name, bytes) else Path(name)
        path = watched / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(complete_scan, path)
        if edit is not None:
            edit(path)
        return path

    return make


@pytest.fixture
def settled(intake: Intake, settings: Settings, clock: Clock) -> Settled:
    def look() -> tuple[list[str], dict[str, AlsError]]:
        first, _ = intake.look(settings, 100)
        assert first == [], "nothing is admitted at first sight"
        clock.turn(seconds=settings.quiet_s)
        admitted, refused = intake.look(settings, 100)
        return [d.key for d in admitted], {r.path: r.error for r in refused}

    return look
