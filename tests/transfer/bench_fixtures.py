"""Fixtures around the simulated facility, for the tests of transfers and of jobs. Here: nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from doomed import Zygote
from facility_in_a_box import Bench, running_facility

from als_assets.transfer import TaskState
from als_assets.transfer.globus import GlobusMover

__all__ = ["bench", "facility", "meddle", "zygote"]


@pytest.fixture(scope="session")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running_facility(tmp_path_factory.mktemp("facility")) as bench:
        yield bench


@pytest.fixture
def bench(facility: Bench) -> Iterator[Bench]:
    """The facility without faults, with nothing told yet."""
    facility.control.clear_faults()
    facility.told.clear()
    yield facility
    facility.control.clear_faults()


@pytest.fixture(scope="session")
def zygote(facility: Bench) -> Iterator[Zygote]:
    with Zygote(facility.box.facility_file) as started:
        yield started


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something to the destination right after Globus called the task a success, before the platform looks at it."""

    def arrange(deed: Callable[[], object]) -> None:
        look = GlobusMover.look

        def looked(self: GlobusMover, handle: object) -> object:
            view = look(self, handle)  # type: ignore[arg-type]
            if view.state is TaskState.SUCCEEDED:
                deed()
            return view

        monkeypatch.setattr(GlobusMover, "look", looked)

    return arrange
