"""Exactly one complete record, whatever happens. Here: faults, repeats and rivals over real HTTP. Not here: single requests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import catalogue_oracle as oracle
import pytest
from catalogue_samples import METADATA, derived, entry, picture, raw

from als_assets.beamlines.bl832 import layout
from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.ensure import CatalogueReceipt, ensure_record
from als_assets.catalogue.model import INGEST, Record
from als_assets.catalogue.settings import CatalogueSettings
from als_assets.errors import (
    AlsError,
    CatalogueConflict,
    CatalogueFailed,
    CatalogueRefused,
    CredentialsRejected,
    ExportRefused,
    RecordInvalid,
    ServiceUnreachable,
)
from als_assets.simulator.server import Simulator

Settings = Callable[..., CatalogueSettings]
WRITES = ("POST", "PATCH", "PUT", "DELETE")
both = pytest.mark.parametrize("personality", ["5.2", "4.27"], indirect=True)


def anywhere(key: str) -> None:
    """The gate of a dataset that may leave."""


def ensure(settings: CatalogueSettings, record: Record, **options: Any) -> CatalogueReceipt:
    with CatalogueClient(settings, anywhere) as client:
        return ensure_record(Accounts(client), record, **options)


def assert_complete(scicat: Simulator, *records: Record) -> None:
    """SciCat holds exactly these records, each with its files once, its right size and its pictures once."""
    stored = {item["pid"]: item for item in scicat.control.records()}
    assert stored.keys() == {record.pid for record in records}
    blocks, attachments = scicat.control.records("origdatablocks"), scicat.control.records("attachments")
    for record in records:
        files = [entry for block in record.file_blocks for entry in block]
        listed = [file["path"] for block in blocks if block["datasetId"] == record.pid for file in block["dataFileList"]]
        assert sorted(listed) == sorted(entry.path for entry in files)
        assert stored[record.pid]["size"] == sum(entry.size_bytes for entry in files)
        assert stored[record.pid]["numberOfFiles"] == len(files)
        known = {record.attachment_id(thumbnail) for thumbnail in record.thumbnails}
        assert known <= {item["aid"] for item in attachments}
    assert len(attachments) == sum(len(record.thumbnails) for record in records)


def written(scicat: Simulator, since: int = 0) -> list[tuple[str, str]]:
    """The requests that changed or tried to change something, logins aside."""
    requests = scicat.control.requests()[since:]
    return [(r["method"], r["path"]) for r in requests if r["method"] in WRITES and not r["path"].endswith("login")]


# --- the quiet case ----------------------------------------------------------------------------------------------------


@both
def test_raw_and_derived_are_written_and_linked(scicat: Simulator, settings: Settings) -> None:
    scan, reconstruction = raw(), derived()
    first, second = ensure(settings(), scan), ensure(settings(), reconstruction)
    assert_complete(scicat, scan, reconstruction)
    assert (first.created, first.patched, first.files, first.attachments) == (True, (), 1, 1)
    assert (second.created, second.files, second.attachments) == (True, 4, 3)
    assert first.url == f"https://scicat.example.org/datasets/{scan.pid.replace('/', '%2F')}"
    stored = {item["pid"]: item for item in scicat.control.records()}
    assert stored[reconstruction.pid]["inputDatasets"] == [scan.pid]


def test_a_fresh_record_takes_no_more_requests_than_it_must(scicat: Simulator, settings: Settings) -> None:
    ensure(settings(), raw())
    methods = [(r["method"], r["path"].rsplit("/", 1)[-1]) for r in scicat.control.requests()]
    assert methods == [("POST", "login"), ("POST", "datasets"), ("POST", "origdatablocks"), ("POST", "attachments")]


def test_every_body_satisfies_the_published_models(scicat: Simulator, settings: Settings) -> None:
    ensure(settings(), raw())
    ensure(settings(), derived())
    ensure(settings(), raw({**METADATA, layout.PI: "Somebody Else"}))
    seen = set()
    for request in scicat.control.requests():
        name = request["path"].rsplit("/", 1)[-1]
        if request["method"] == "POST" and name == "datasets":
            oracle.accept_dataset(request["body"])
        elif request["method"] == "POST" and name == "origdatablocks":
            oracle.accept_files(request["body"])
        elif request["method"] == "POST" and name == "attachments":
            oracle.accept_attachment(request["body"], "v4")
        elif request["method"] == "PATCH":
            oracle.accept_patch("raw", request["body"])
        seen.add((request["method"], name.split("%2F")[0]))
    assert {("POST", "datasets"), ("POST", "origdatablocks"), ("POST", "attachments"), ("PATCH", "als")} <= seen


@both
def test_a_second_ingest_writes_nothing(scicat: Simulator, settings: Settings) -> None:
    records = [raw(), derived()]
    for record in records:
        ensure(settings(), record)
    before, so_far = scicat.control.records(), len(scicat.control.requests())
    for record in records:
        receipt = ensure(settings(), record)
        assert (receipt.created, receipt.patched, receipt.files, receipt.attachments) == (False, (), 0, 0)
    # Asking to create and being told that it exists is the only attempt.
    assert written(scicat, so_far) == [("POST", "/api/v3/datasets")] * 2
    assert scicat.control.records() == before


def test_scitacean_reads_what_was_written(scicat: Simulator, settings: Settings) -> None:
    from scitacean import Client

    for record in (raw(), derived()):
        ensure(settings(), record)
    client = Client.from_credentials(url=f"{scicat.url}/api/v3", username="ingestor", password="correct horse battery", allow_http=True)
    scan = client.get_dataset(raw().pid)
    assert (scan.name, scan.owner_group, scan.size) == ("20260302_103000_sand_x10", "ALS-00847", 8_510_000_000)
    assert [file.remote_path.posix for file in scan.files] == ["20260302_103000_sand_x10.h5"]
    # Version 4, which it reads, leaves keys encoded up to backend 5.2.1.
    assert scan.meta[quote(layout.PIXEL_SIZE, safe="")]["unit"] == "mm"
    reconstruction = client.get_dataset(derived().pid)
    assert [str(pid) for pid in reconstruction.input_datasets or []] == [raw().pid]
    assert reconstruction.job_parameters is not None
    assert reconstruction.job_parameters["center"] == 1280.5


# --- differences -------------------------------------------------------------------------------------------------------


def test_what_differs_is_patched_and_what_others_added_stays(scicat: Simulator, settings: Settings) -> None:
    ensure(settings(), raw())
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, "k", raw().pid)
        stored = calls.get()
        assert stored is not None
        calls.patch({"scientificMetadata": {**stored["scientificMetadata"], "staff says": "good"}})
    receipt = ensure(settings(), raw({**METADATA, layout.PI: "Somebody Else", layout.NUM_ANGLES: 7}))
    assert receipt.patched == ("owner", "principalInvestigator", "scientificMetadata")
    (item,) = scicat.control.records()
    assert item["owner"] == "Somebody Else"
    assert item["scientificMetadata"][layout.NUM_ANGLES] == 7
    assert item["scientificMetadata"]["staff says"] == "good"
    assert item["scientificMetadata"][layout.PIXEL_SIZE]["value"] == 0.00325
    assert_complete(scicat, raw())


def test_files_and_pictures_that_came_later_are_added(scicat: Simulator, settings: Settings) -> None:
    first = derived(file_blocks=[[entry("a.tiff", 1)]], thumbnails=[])
    later = derived(file_blocks=[[entry("a.tiff", 1), entry("b.tiff", 2)], [entry("z.zarr", 4)]], thumbnails=[picture()])
    ensure(settings(), raw(thumbnails=[]))
    ensure(settings(), first, attempt="op")
    receipt = ensure(settings(), later, attempt="op")
    assert (receipt.files, receipt.attachments) == (2, 1)
    assert_complete(scicat, raw(thumbnails=[]), later)


def test_a_file_whose_size_changed_is_reported(scicat: Simulator, settings: Settings) -> None:
    ensure(settings(), raw(files=[entry(size=5)]))
    receipt = ensure(settings(), raw(files=[entry(size=6)]))
    assert receipt.files == 0
    assert ["5 bytes" in issue.sentence for issue in receipt.issues] == [True]


def test_warnings_are_listed_and_block_nothing(scicat: Simulator, settings: Settings) -> None:
    record = raw(metadata={})
    receipt = ensure(settings(), record)
    assert receipt.issues == record.warnings
    assert_complete(scicat, record)


def test_errors_block_before_the_first_request(scicat: Simulator, settings: Settings) -> None:
    with pytest.raises(RecordInvalid, match="lists no file"):
        ensure(settings(), raw(files=[]))
    assert scicat.control.requests() == []


def test_a_flagged_scan_never_reaches_scicat(scicat: Simulator, settings: Settings) -> None:
    def never(key: str) -> None:
        raise ExportRefused(f"{key} stays", next_step="nothing")

    with CatalogueClient(settings(), never) as client:
        for record in (raw(), derived()):
            with pytest.raises(ExportRefused, match="20260302_103000_sand_x10"):
                ensure_record(Accounts(client), record)
    assert scicat.control.requests() == []


# --- faults ------------------------------------------------------------------------------------------------------------

FAULTS: dict[str, list[dict[str, Any]]] = {
    "stored, then 500": [{"where": "scicat", "action": "stored_then_500"}],
    "stored, then the connection is lost": [{"where": "scicat", "action": "stored_then_drop"}],
    "502 with HTML": [{"where": "scicat", "action": "bad_gateway", "times": 3}],
    "429": [{"where": "http", "path": "/api/v3/datasets", "status": 429, "headers": {"retry-after": "0"}, "body": {}}],
    "expired at once": [{"where": "scicat", "action": "expired"}],
    "files stored, answer lost": [{"where": "http", "path": "*/origdatablocks", "method": "POST", "status": "drop", "after": True}],
    "files stored, then 500": [{"where": "http", "path": "*/origdatablocks", "method": "POST", "status": 500, "body": {}, "after": True}],
    "files refused by an outage": [{"where": "http", "path": "*/origdatablocks", "method": "POST", "status": 503, "body": "x"}],
    "files expired": [
        {"where": "http", "path": "*/origdatablocks", "method": "POST", "status": 401, "body": {"message": "SESSION_EXPIRED"}}
    ],
    "picture stored, answer lost": [{"where": "http", "path": "/api/v4/attachments", "method": "POST", "status": "drop", "after": True}],
    "picture stored, then 500": [
        {"where": "http", "path": "/api/v4/attachments", "method": "POST", "status": 500, "body": "oops", "after": True}
    ],
    "all at once": [
        {"where": "scicat", "action": "stored_then_drop"},
        {"where": "http", "path": "*/origdatablocks", "method": "POST", "status": "drop", "after": True},
        {"where": "http", "path": "/api/v4/attachments", "method": "POST", "status": 500, "body": {}, "after": True},
    ],
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_call_survives(scicat: Simulator, settings: Settings, name: str) -> None:
    for fault in FAULTS[name]:
        scicat.control.add_fault(fault)
    receipt = ensure(settings(), raw())
    assert receipt.created
    assert_complete(scicat, raw())
    assert [fault for fault in scicat.control.faults() if fault["left"]] == [], "every fault has struck"


STEPS = ["/api/v3/datasets", "*/origdatablocks", "/api/v4/attachments"]


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", ["drop", 500, 502])
def test_a_call_that_died_is_completed_by_the_next(
    scicat: Simulator, settings: Settings, step: str, status: str | int, after: bool
) -> None:
    """The process is gone after the faulty request: nothing else of the first call is carried out."""
    body = {} if status == "drop" else {"body": {"message": "gone"}}
    scicat.control.add_fault(where="http", path=step, method="POST", status=status, after=after, times=1, **body)
    with _DyingClient(settings(attempts=1), after=step) as client, pytest.raises(_Died):
        ensure_record(Accounts(client), raw(), attempt="op-1")
    receipt = ensure(settings(), raw(), attempt="op-1")
    assert_complete(scicat, raw())
    assert receipt.created


class _Died(Exception):
    """Stands for kill -9: nothing after this request of the first call is carried out."""


class _DyingClient(CatalogueClient):
    """The real client, whose process dies when the POST to ``after`` has come back, with or without an error."""

    def __init__(self, settings: CatalogueSettings, after: str) -> None:
        super().__init__(settings, anywhere)
        self._last = after.rsplit("/", 1)[-1]

    def request(self, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        if method != "POST" or path.rsplit("/", 1)[-1] != self._last:
            return super().request(method, path, *arguments, **options)
        with contextlib.suppress(AlsError):
            super().request(method, path, *arguments, **options)
        raise _Died


@pytest.mark.parametrize("name", ["created only", "created by another"])
def test_a_half_written_record_is_completed(scicat: Simulator, settings: Settings, name: str) -> None:
    """Its writer died: the same operation completes it at once, another one after a while."""
    record = raw()
    body = record.body()
    body["scientificMetadata"][INGEST] = {"attempt": "op-1"}
    with CatalogueClient(settings(), anywhere) as client:
        DatasetCalls(client, record.dataset_key, record.pid).create(body)
    same = name == "created only"
    receipt = ensure(settings(patience_s=0.3), record, attempt="op-1" if same else "op-2")
    assert receipt.created is same
    assert (receipt.files, receipt.attachments) == (1, 1)
    assert_complete(scicat, record)


def test_an_outage_that_lasts_is_an_error_and_leaves_nothing_wrong(scicat: Simulator, settings: Settings) -> None:
    fault = scicat.control.add_fault(where="scicat", action="bad_gateway", times=None)
    with pytest.raises(ServiceUnreachable, match="502"):
        ensure(settings(attempts=2), raw())
    scicat.control.clear_fault(fault)
    ensure(settings(), raw())
    assert_complete(scicat, raw())


def test_a_500_without_a_record_is_an_error(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=500, body="Internal server error", times=2)
    with pytest.raises(CatalogueFailed, match=r"answers otherwise.*Internal server error") as caught:
        ensure(settings(), raw())
    assert "Re-execute" in caught.value.next_step
    assert scicat.control.records() == []


def test_a_500_that_passes_is_survived(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=500, body={})
    assert ensure(settings(), raw()).created
    assert_complete(scicat, raw())


def test_a_500_of_everything_is_an_outage(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/datasets*", status=500, body={}, times=None)
    scicat.control.add_fault(where="http", path="/api/v3/users/*", status=500, body={}, times=None)
    with pytest.raises(ServiceUnreachable):
        ensure(settings(), raw())


def test_a_result_whose_scan_has_no_record_is_refused_before_anything_is_written(scicat: Simulator, settings: Settings) -> None:
    with pytest.raises(RecordInvalid, match=r"its input .* has no record") as caught:
        ensure(settings(), derived())
    assert "scicat_record" in caught.value.next_step
    assert written(scicat) == []


def test_wrong_credentials_write_nothing(scicat: Simulator, settings: Settings) -> None:
    with pytest.raises(CredentialsRejected):
        ensure(settings(password_provider=lambda: "wrong"), raw())
    assert scicat.control.records() == []


def test_an_account_that_may_not_create_is_told_so(scicat: Simulator, settings: Settings) -> None:
    with pytest.raises(CatalogueRefused, match="Forbidden"):
        ensure(settings(username="guest"), raw())


def test_a_record_that_this_account_may_not_read_is_a_conflict(scicat: Simulator, settings: Settings) -> None:
    ensure(settings(), raw())
    with pytest.raises(CatalogueConflict, match="may not read") as caught:
        ensure(settings(username="stranger"), raw())
    assert "accessGroups" in caught.value.next_step


def test_a_record_of_another_type_is_left_alone(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    foreign = {**derived().body(), "pid": record.pid}
    with CatalogueClient(settings(), anywhere) as client:
        DatasetCalls(client, record.dataset_key, record.pid).create(foreign)
    with pytest.raises(CatalogueConflict, match="of type 'derived'"):
        ensure(settings(), record)
    assert scicat.control.records("origdatablocks") == []


@pytest.mark.parametrize("status", [403, 404])
def test_without_the_right_to_v4_pictures_v3_is_used(scicat: Simulator, settings: Settings, status: int) -> None:
    scicat.control.add_fault(where="http", path="/api/v4/attachments", status=status, body={"message": "no"}, times=None)
    for expected in (1, 0):
        assert ensure(settings(), raw()).attachments == expected
    (attachment,) = scicat.control.records("attachments")
    assert attachment["caption"] == "middle projection"


def test_a_refused_picture_is_a_warning(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path="*/attachments", method="POST", status=400, body={"message": ["too big"]}, times=None)
    receipt = ensure(settings(), raw())
    assert receipt.attachments == 0
    assert [(issue.field, "too big" in issue.sentence) for issue in receipt.issues] == [("thumbnail", True)]


# --- rivals ------------------------------------------------------------------------------------------------------------


@both
def test_eight_at_once_write_one_complete_record(scicat: Simulator, settings: Settings) -> None:
    """The one that creates the record is slow to add its files; the others must leave that to it."""
    record, start = raw(), threading.Barrier(8)
    scicat.control.add_fault(where="http", path="*/origdatablocks", method="POST", delay_s=1.0)

    def ingest(_: int) -> CatalogueReceipt:
        with CatalogueClient(settings(patience_s=20.0, timeout_s=20.0), anywhere) as client:
            client.whoami()
            start.wait()
            return ensure_record(Accounts(client), record)

    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(ingest, range(8)))
    assert sum(receipt.created for receipt in receipts) == 1
    assert sum(receipt.files for receipt in receipts) == 1
    assert sum(receipt.attachments for receipt in receipts) == 1
    assert_complete(scicat, record)


def test_one_client_serves_many_threads(scicat: Simulator, settings: Settings) -> None:
    records = [raw(stem=f"scan_{i:03d}") for i in range(12)]
    with CatalogueClient(settings(timeout_s=20.0), anywhere) as client, ThreadPoolExecutor(4) as pool:
        assert all(receipt.created for receipt in pool.map(lambda record: ensure_record(Accounts(client), record), records))
    assert_complete(scicat, *records)
    assert len(scicat.control.requests(path="/api/v3/auth/login")) == 1


@pytest.mark.timeout(600)
def test_a_thousand_scans_twice(scicat: Simulator, settings: Settings) -> None:
    """Every scan has its record once, and the second pass writes nothing: it is told that the record is there, and looks."""
    records = [replace(raw(stem=f"scan_{i:04d}"), thumbnails=()) for i in range(1000)]
    with CatalogueClient(settings(timeout_s=60.0), anywhere) as client:
        accounts = Accounts(client)
        assert sum(ensure_record(accounts, record, attempt=record.pid).created for record in records) == 1000
        before = scicat.control.records()
        again = [ensure_record(accounts, record) for record in records]
    assert not any(receipt.created or receipt.patched or receipt.files for receipt in again)
    assert scicat.control.records() == before
    assert_complete(scicat, *records)
    assert len(scicat.control.requests(path="/api/v3/auth/login")) == 1
