"""One request for each site and tick, whoever asks: cached views in the record, claimed by one process at a time.

Here: the memory and the look, against a transport that counts. Not here: real schedulers (``test_contract``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from als_assets.compute.outcomes import SchedulerView
from als_assets.compute.poller import Poller
from als_assets.errors import CredentialsRejected, ServiceUnreachable
from als_assets.ledger import Ledger

SITE = "nersc"


class Counting:
    """A site whose answers the test sets, and which remembers what it was asked."""

    poll_s = 10.0

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.views: dict[str, SchedulerView] = {}
        self.error: Exception | None = None

    def look_many(self, job_ids: Sequence[str]) -> dict[str, SchedulerView]:
        self.asked.append(list(job_ids))
        if self.error is not None:
            raise self.error
        return {name: view for name, view in self.views.items() if name in job_ids}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger.at(tmp_path, clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def site() -> Counting:
    return Counting()


@pytest.fixture
def poller(ledger: Ledger, site: Counting) -> Poller:
    return Poller(ledger.watching, SITE, site)  # type: ignore[arg-type]


def test_two_hundred_jobs_are_one_request_for_each_tick(ledger: Ledger, site: Counting, clock: Clock) -> None:
    names = [str(1000 + n) for n in range(200)]
    site.views = {name: SchedulerView("RUNNING") for name in names}
    looks = {name: Poller(ledger.watching, SITE, site) for name in names}  # type: ignore[arg-type] - a process of its own each
    for name in names:
        looks[name].look(name)
    assert len(site.asked) == 1, "the first who looks asks at once; the others are asked about at the next tick"

    for _tick in range(2):
        clock.forward(10)
        before = len(site.asked)
        for name in names:
            assert looks[name].look(name).view == SchedulerView("RUNNING")
        assert len(site.asked) == before + 1
        assert site.asked[-1] == names


def test_many_at_once_ask_once(ledger: Ledger, site: Counting, clock: Clock) -> None:
    site.views = {str(n): SchedulerView("PENDING") for n in range(20)}
    pollers = [Poller(ledger.watching, SITE, site) for _ in range(20)]  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[1].look(str(pair[0])), enumerate(pollers)))
    assert len(site.asked) == 1
    clock.forward(10)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[1].look(str(pair[0])), enumerate(pollers)))
    assert len(site.asked) == 2 and len(site.asked[1]) == 20


def test_a_last_word_is_kept_and_not_asked_for_again(poller: Poller, site: Counting, clock: Clock) -> None:
    site.views = {"1": SchedulerView("COMPLETED", "0:0", nodes="nid1", used_s=3.5)}
    assert poller.look("1").view == SchedulerView("COMPLETED", "0:0", nodes="nid1", used_s=3.5)
    clock.forward(60)
    site.error = ServiceUnreachable("down", next_step="wait")

    assert poller.look("1").view is not None, "an outage takes nothing away"
    assert site.asked == [["1"]]


def test_a_job_that_is_missing_is_missing_since_the_first_time(poller: Poller, site: Counting, clock: Clock) -> None:
    began = clock.now
    assert poller.look("7").missing_since == began
    clock.forward(30)
    assert poller.look("7").missing_since == began
    site.views = {"7": SchedulerView("RUNNING")}
    clock.forward(30)
    assert poller.look("7").missing_since is None
    site.views = {}
    clock.forward(30)
    assert poller.look("7").missing_since == clock.now, "a new silence begins anew"


@pytest.mark.parametrize("error", [ServiceUnreachable, CredentialsRejected])
def test_an_outage_is_told_to_everybody_until_it_is_over(
    ledger: Ledger, site: Counting, clock: Clock, error: type[ServiceUnreachable]
) -> None:
    one, two = (Poller(ledger.watching, SITE, site) for _ in range(2))  # type: ignore[arg-type]
    site.error = error("NERSC is down.", next_step="wait")
    with pytest.raises(error, match="NERSC is down"):
        one.look("1")
    with pytest.raises(ServiceUnreachable, match="NERSC is down"):
        two.look("2")
    assert len(site.asked) == 1, "nobody hammers a site that is down"

    site.error, site.views = None, {"1": SchedulerView("RUNNING"), "2": SchedulerView("PENDING")}
    clock.forward(10)
    assert two.look("2").view == SchedulerView("PENDING")
    assert one.look("1").view == SchedulerView("RUNNING")


def test_who_dies_while_asking_is_followed_at_the_next_tick(ledger: Ledger, site: Counting, clock: Clock) -> None:
    site.error = KeyboardInterrupt()  # type: ignore[assignment] - as good as kill -9: no handler runs
    with pytest.raises(KeyboardInterrupt):
        Poller(ledger.watching, SITE, site).look("1")  # type: ignore[arg-type]
    site.error, site.views = None, {"1": SchedulerView("RUNNING")}
    other = Poller(ledger.watching, SITE, site)  # type: ignore[arg-type]
    assert other.look("1").view is None
    clock.forward(10)
    assert other.look("1").view == SchedulerView("RUNNING")


def test_a_job_that_nobody_follows_is_not_asked_about(ledger: Ledger, poller: Poller, site: Counting, clock: Clock) -> None:
    poller.look("orphan")
    clock.forward(600)
    poller.look("1")
    assert site.asked[-1] == ["1"]
    poller.forget("1")
    clock.forward(3600 * 25)
    poller.look("2")
    assert site.asked[-1] == ["2"]
    rows: Any = ledger.watching.look(SITE, "orphan", timedelta(seconds=1))[0]
    assert rows.seen_at is None, "its row is gone"


def test_a_clock_that_was_set_back_does_not_stop_the_asking(poller: Poller, site: Counting, clock: Clock) -> None:
    poller.look("1")
    clock.forward(-7200)
    poller.look("1")
    assert len(site.asked) == 2


def test_sites_do_not_wait_for_each_other(ledger: Ledger, site: Counting) -> None:
    other = Counting()
    Poller(ledger.watching, "nersc", site).look("1")  # type: ignore[arg-type]
    Poller(ledger.watching, "als", other).look("1")  # type: ignore[arg-type]
    assert (site.asked, other.asked) == ([["1"]], [["1"]])
