"""A collection that fails several times in a row rests for a growing time, then one task tries it; nothing that was wanted is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facility_in_a_box import NERSC_RAW, RAW, Bench

from als_assets.errors import CollectionResting, TransferFailed
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import NewDataset
from als_assets.transfer.breaker import Breaker, caused_by_collection, trouble_of

SPOT_ID, DATA_ID, NERSC_ID = (
    "44ae904c-ab64-4145-a8f0-7287de38324d",
    "75b478b2-37af-46df-bfbd-71ed692c6506",
    "d40248e6-d874-4f7b-badd-2c06c16f1a58",
)
REST_S, MOST_S = 60.0, 3600.0


@dataclass
class History:
    """A record of operations, made by hand under a clock of its own."""

    bench: Bench
    folder: Path
    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)
    gone: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.ledger = self._open()
        self.ledger.datasets.admit(NewDataset("sand", "bl832", "f", "sand.h5", "P", 10, None, True, "yes", "spot832", "f/sand.h5"))

    def _open(self) -> Ledger:
        return Ledger.at(self.folder, clock=lambda: self.now)

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = self._open()

    @property
    def breaker(self) -> Breaker:
        return Breaker(self.bench.platform.facility, self.ledger)

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def begin(self, where: str = NERSC_RAW, source: str = RAW, run: str = "a") -> Operation:
        self.count += 1
        request = {"from": {"location": source, "path": "x"}, "to": {"location": where, "path": "x"}}
        operation = self.ledger.operations.begin(f"transfer:{where}:{self.count}", OperationKind.TRANSFER, "sand", request)
        return self.ledger.operations.take(operation.id, run, lambda _run: True)

    def end(self, *, failed: bool, words: str = "", operation: Operation | None = None, where: str = NERSC_RAW, source: str = RAW) -> None:
        operation = operation or self.begin(where, source)
        operation = self.ledger.operations.submitted(operation, task_id="t")
        outcome = {"trouble": trouble_of("CONNECT_FAILED", words, self.now)} if failed else {}
        state = OperationState.FAILED if failed else OperationState.SUCCEEDED
        self.ledger.operations.finish(operation, state, why="a test", outcome=outcome)

    def require(self, operation: Operation) -> None:
        self.breaker.require(operation, [RAW, NERSC_RAW], Actor(operation.holder or "", lambda run: run in self.gone))


@pytest.fixture
def history(bench: Bench, tmp_path: Path) -> Iterator[History]:
    made = History(bench, tmp_path)
    yield made
    made.ledger.close()


def test_two_failures_are_bad_luck_and_three_are_a_state(history: History) -> None:
    for _ in range(2):
        history.end(failed=True, words=f"Endpoint: NERSC ({NERSC_ID})")
    history.require(history.begin())

    history.end(failed=True, words=f"Endpoint: NERSC ({NERSC_ID})")

    with pytest.raises(CollectionResting, match=r"of .*nersc832_alsdev_raw.* failed 3 times in a row since 2026-11-22 12:00 UTC") as caught:
        history.require(history.begin())
    assert "last: CONNECT_FAILED" in caught.value.sentence
    assert "until 12:01:00 UTC" in caught.value.sentence
    assert caught.value.details["retry_s"] == REST_S
    assert list(history.breaker.rests()) == [NERSC_ID], "the words named one of the two"


def test_the_rest_grows_up_to_its_limit(history: History) -> None:
    waits = []
    for _ in range(12):
        history.end(failed=True, words=NERSC_ID)
        rest = history.breaker.rests().get(NERSC_ID)
        waits.append((rest.until - rest.latest).total_seconds() if rest else 0.0)
    assert waits == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_a_success_ends_it_and_failures_of_the_task_alone_do_not_count(history: History) -> None:
    for _ in range(3):
        history.end(failed=True, words=NERSC_ID)
    history.pass_s(1)
    history.end(failed=False)
    assert history.breaker.rests() == {}

    for _ in range(5):
        operation = history.ledger.operations.submitted(history.begin(), task_id="t")
        history.ledger.operations.finish(operation, OperationState.FAILED, why="no such file", outcome={"sentence": "no such file"})
    assert history.breaker.rests() == {}


def test_without_a_name_in_the_words_both_ends_are_suspected_until_one_succeeds(history: History) -> None:
    for _ in range(3):
        history.end(failed=True, words="something is wrong")
    assert set(history.breaker.rests()) == {DATA_ID, NERSC_ID}

    history.pass_s(1)
    history.end(failed=False, where=RAW, source="spot832")

    assert set(history.breaker.rests()) == {NERSC_ID}


def test_a_task_that_still_waits_for_its_collection_counts_while_it_waits(history: History) -> None:
    for _ in range(3):
        operation = history.ledger.operations.submitted(history.begin(), task_id="t")
        operation = history.ledger.operations.annotate(operation, trouble=trouble_of("GC_NOT_CONNECTED", NERSC_ID, history.now))
    assert set(history.breaker.rests()) == {NERSC_ID}

    history.ledger.operations.annotate(operation, trouble=None)

    assert history.breaker.rests() == {}


def test_it_survives_a_restart_and_is_the_same_for_every_process(history: History) -> None:
    for _ in range(3):
        history.end(failed=True, words=NERSC_ID)
    before = history.breaker.rests()

    history.restart()

    assert history.breaker.rests() == before


def test_after_the_rest_one_task_tries_it_and_the_others_wait(history: History) -> None:
    for _ in range(3):
        history.end(failed=True, words=NERSC_ID)
    history.pass_s(REST_S)
    probe, other = history.begin(run="a"), history.begin(run="b")

    history.require(probe)

    with pytest.raises(CollectionResting, match=f"{probe.key} tries it now"):
        history.require(other)
    history.end(failed=True, words=NERSC_ID, operation=probe)
    with pytest.raises(CollectionResting, match="failed 4 times"):
        history.require(other)
    history.pass_s(2 * REST_S)
    history.require(other)
    history.end(failed=False, operation=other)
    history.require(history.begin())


def test_a_probe_whose_process_died_does_not_bar_the_way(history: History) -> None:
    for _ in range(3):
        history.end(failed=True, words=NERSC_ID)
    history.pass_s(REST_S)
    history.require(history.begin(run="dead"))
    history.gone.add("dead")

    history.require(history.begin(run="alive"))


def test_of_two_probes_at_the_same_moment_at_most_one_goes(history: History) -> None:
    """Each has said so before it looks, so neither can overlook the other."""
    for _ in range(3):
        history.end(failed=True, words=NERSC_ID)
    history.pass_s(REST_S)
    one, two = history.begin(run="a"), history.begin(run="b")
    for operation in (one, two):
        history.ledger.operations.annotate(operation, probes={NERSC_ID: history.now.isoformat()})

    with pytest.raises(CollectionResting):
        history.require(one)
    history.require(two)  # the first has stepped back


@pytest.mark.parametrize("code", ["ExternalError.DirListingFailed", "EndpointError", "CONNECT_FAILED", "GC_NOT_CONNECTED"])
def test_codes_that_blame_a_collection(code: str) -> None:
    assert caused_by_collection(code)


@pytest.mark.parametrize("code", ["ServiceUnavailable", "", "FILE_NOT_FOUND", "ClientError.BadRequest"])
def test_codes_that_do_not(code: str) -> None:
    assert not caused_by_collection(code)


# --- over HTTP -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Rests are so short that a test can wait for their end."""
    facility = bench.platform.facility
    globus = facility.globus.model_copy(update={"rest_s": 0.5, "rest_most_s": 0.5})
    monkeypatch.setattr(bench.platform.transfers._breaker, "_facility", facility.model_copy(update={"globus": globus}))
    bench.copy(bench.admit(), RAW)  # whatever failed before is forgotten
    return bench


def test_a_dead_collection_gets_no_more_tasks_and_the_queue_is_kept(quick: Bench) -> None:
    details = f"Error (connect)\nEndpoint: data832 ({DATA_ID})\nServer: dtn:443"
    quick.control.add_fault(where="transfer", collection=DATA_ID, action="fail", code="CONNECT_FAILED", message=details, times=None)
    scans = [quick.admit() for _ in range(4)]
    for scan in scans[:3]:
        with pytest.raises(TransferFailed, match="a collection could not be reached"):
            quick.copy(scan, RAW)

    with pytest.raises(CollectionResting, match=r"of data832_raw, data832_scratch has failed 3 times in a row"):
        quick.copy(scans[3], RAW)

    assert quick.tasks(scans[3]) == []
    assert quick.newest(scans[3]).state is OperationState.INTENT
    assert set(quick.platform.transfers.resting()) == {"data832_raw", "data832_scratch"}
    quick.control.clear_faults()
    quick.control.wait_for(lambda: not quick.platform.transfers.resting(), what="the end of the rest")
    for scan, tasks in zip(reversed(scans), (1, 2, 2, 2), strict=True):
        quick.assert_arrives(scan, tasks=tasks)
    assert quick.newest(scans[3]).attempt == 1, "the intent that was kept was carried out"


def test_errors_of_a_collection_while_a_request_is_made_are_noted_and_waited_out(quick: Bench) -> None:
    scan = quick.admit()
    quick.control.add_fault(
        where="http", method="POST", path="/v0.10/transfer", status=502, code="EndpointError", message="down", times=None
    )

    with pytest.raises(Exception, match="EndpointError"):
        quick.copy(scan, RAW)

    assert quick.newest(scan).handle["trouble"]["code"] == "EndpointError"
    quick.control.clear_faults()
    quick.assert_arrives(scan, tasks=1)
    assert quick.newest(scan).handle["trouble"] is None
