"""Who may send what: rejected credentials, secrets that stay secret, and scans that must not leave."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from facility_in_a_box import NERSC_RAW, RAW, Bench, platform_of

from als_assets.errors import CredentialsRejected, ExportRefused, SecretUnavailable, ServiceUnreachable
from als_assets.ledger import ReplicaState
from als_assets.transfer.mover import TransferRequest

WRONG = "totally-wrong-secret-9f2b"


@pytest.fixture
def secret_file(bench: Bench) -> Iterator[Path]:
    """The mover's secret, put back afterwards."""
    file = bench.box.root / "secrets" / "globus-mover"
    before = file.read_text()
    yield file
    file.write_text(before)
    file.chmod(0o600)


def test_a_wrong_secret_names_the_identity_and_its_file_but_never_the_secret(bench: Bench, secret_file: Path) -> None:
    scan = bench.admit()
    secret_file.write_text(WRONG)
    platform = platform_of(bench.box)

    with pytest.raises(CredentialsRejected, match="identity 'mover'") as caught:
        platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, scan.raw_path)

    assert str(secret_file) in caught.value.next_step
    everything = "".join(traceback.format_exception(caught.value)) + json.dumps(caught.value.details, default=str)
    assert WRONG not in everything
    assert WRONG not in repr(platform.transfers._movers["mover"]._client) + repr(platform.facility)
    assert bench.tasks(scan) == []
    platform.ledger.close()


def test_after_the_secret_was_mended_the_same_intent_goes_on(bench: Bench, secret_file: Path) -> None:
    scan = bench.admit()
    right = secret_file.read_text()
    secret_file.write_text(WRONG)
    platform = platform_of(bench.box)
    with pytest.raises(CredentialsRejected):
        platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, scan.raw_path)
    platform.ledger.close()

    secret_file.write_text(right)
    bench.copy(scan, RAW)

    assert [operation.attempt for operation in bench.ledger.operations.of(scan.key)] == [1]
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED


def test_a_secret_that_others_can_read_is_not_used(bench: Bench, secret_file: Path) -> None:
    scan = bench.admit()
    secret_file.chmod(0o640)

    with pytest.raises(SecretUnavailable, match="can be read by other accounts"):
        platform_of(bench.box).transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, scan.raw_path)


def test_an_outage_of_the_token_service_is_no_verdict_on_the_secret(bench: Bench) -> None:
    scan = bench.admit()
    platform = platform_of(bench.box)
    bench.control.add_fault(where="http", path="/v2/oauth2/token", status=503, times=None)

    with pytest.raises(ServiceUnreachable, match="Globus Auth answered 503"):
        platform.transfers.ensure_replica(bench.actor(), scan.key, "raw", RAW, scan.raw_path)

    platform.ledger.close()


def test_the_request_log_and_the_record_hold_no_secret(bench: Bench, secret_file: Path) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)

    rows = [(o.request, o.handle, o.outcome) for o in bench.ledger.operations.of(scan.key)]
    rows += [(row.evidence, row.why, None) for row in bench.ledger.audit.of(scan.key)]

    assert secret_file.read_text() not in json.dumps([rows, bench.replica(scan, RAW).evidence])


def test_a_flagged_scan_is_not_even_mentioned_outside(bench: Bench) -> None:
    scan = bench.admit(may_leave=False)

    with pytest.raises(ExportRefused, match=f"Scan {scan.key} stays at the ALS and was not sent to nersc") as caught:
        bench.copy(scan, NERSC_RAW)

    assert "its owner asked for it" in caught.value.sentence
    assert scan.key not in json.dumps(bench.control.requests())
    assert bench.ledger.replicas.of(scan.key, location=NERSC_RAW) == []


def test_a_flagged_scan_still_moves_on_the_premises(bench: Bench) -> None:
    scan = bench.admit(may_leave=False)

    bench.copy(scan, RAW)

    nersc = {t["task_id"] for t in bench.tasks(scan) if t["destination_endpoint_display_name"] != "data832"}
    assert nersc == set()
    assert bench.state(scan, RAW) is ReplicaState.VERIFIED


def test_a_flag_set_between_intent_and_request_is_obeyed_by_the_mover_itself(bench: Bench) -> None:
    scan = bench.admit()
    bench.copy(scan, RAW)
    service = bench.platform.transfers
    places = service.place(RAW, scan.raw_path), service.place(NERSC_RAW, scan.raw_path)
    bench.ledger.datasets.set_release(scan.key, may_leave=False, reason="a letter from the sponsor")
    before = len(bench.control.requests(path="/v0.10/transfer"))

    for role in ("mover", "posix"):
        with pytest.raises(ExportRefused, match="a letter from the sponsor"):
            service._movers[role].start_transfer(TransferRequest(scan.key, *places, False, "x"), {"submission_id": "x"})

    assert len(bench.control.requests(path="/v0.10/transfer")) == before


def test_what_nobody_released_stays(bench: Bench) -> None:
    with pytest.raises(ExportRefused, match="nobody has said that it may leave"):
        bench.platform.transfers.ensure_replica(bench.actor(), "never-admitted", "raw", NERSC_RAW, "x/y.h5")
