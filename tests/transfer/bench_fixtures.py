"""Fixtures around the simulated facility, for the tests of transfers and of jobs. Here: nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doomed import Zygote
from facility_in_a_box import Bench, running_facility

__all__ = ["bench", "facility", "zygote"]


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
