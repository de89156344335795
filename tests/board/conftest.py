"""Fixtures of the board's tests: a facility, its record with a clock that only tests move, and the board on a port of its own.

Here: what several test modules share. Not here: tests; the helpers are in ``board_story`` and ``board_pages``.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parent))

from board_pages import Browser
from board_story import Clock, Story, facility_document

from als_assets.board import build_app
from als_assets.facility import Facility
from als_assets.ledger import Ledger


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    (tmp_path / "bl832.yaml").write_text("quiet_s: 10\n")
    return Facility.model_validate(facility_document(tmp_path / "state"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows; copying it is quicker than migrating for every test."""
    folder = tmp_path_factory.mktemp("record")
    Ledger.at(folder).close()
    return folder / "ledger.sqlite"


@pytest.fixture
def ledger(facility: Facility, clock: Clock, empty_record: Path) -> Iterator[Ledger]:
    facility.state_dir.mkdir()
    shutil.copyfile(empty_record, facility.state_dir / empty_record.name)
    ledger = Ledger.at(facility.state_dir, who="test", clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def tell(ledger: Ledger, clock: Clock) -> Callable[..., Story]:
    """A story by key; further arguments replace what is known of the scan."""

    def tell(key: str = "20260301_170000_sandstone", run: str = "run-1", **changes: Any) -> Story:
        return Story(ledger, clock, key, run, changes)

    return tell


@pytest.fixture
def browser(facility: Facility, ledger: Ledger) -> Iterator[Browser]:
    """The board on a port of its own."""
    config = uvicorn.Config(build_app(facility, ledger), host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    browser = Browser(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    yield browser
    browser.http.close()
    server.should_exit = True
    thread.join()
