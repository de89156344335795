"""The catalogue's promises as a site can try them on its own SciCat: the same on both simulated servers and on the one that the facility
file in ALS_SCICAT_FACILITY names (a test server: records are written there, and removed again where the lifecycle account may delete).

Here: what must hold on every server. Not here: faults and outages, which only a simulated server has on demand.
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from catalogue_samples import METADATA, derived, entry, picture, raw_of
from catalogue_world import FOLDER, World, world_in

from als_assets.beamlines.bl832 import layout
from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.client import beginning_with
from als_assets.catalogue.compare import contains
from als_assets.catalogue.delivery import Fate, outside_actor
from als_assets.catalogue.desk import Desk
from als_assets.catalogue.ensure import CatalogueReceipt, ensure_record
from als_assets.catalogue.follow import follow_copies
from als_assets.catalogue.lifecycle import Standing, disagreements, ensure_standing
from als_assets.catalogue.model import Json, Record
from als_assets.catalogue.reconcile import Difference
from als_assets.catalogue.rights import check_rights
from als_assets.errors import CatalogueConflict, CatalogueRefused, CredentialsRejected, RecordInvalid, ServiceUnreachable
from als_assets.facility.catalogue import CatalogueFile, load_catalogue_file
from als_assets.facility.identities import ScicatIdentity
from als_assets.facility.models import Scicat
from als_assets.facility.secrets import SecretRef
from als_assets.ledger import OutboxKind
from als_assets.platform import BEAMLINES, EXTRACTORS
from als_assets.simulator.config import ScicatConfig, ScicatUser, SimulatorConfig
from als_assets.simulator.detector import synthetic_scan
from als_assets.simulator.server import Simulator

NAMED = "ALS_SCICAT_FACILITY"
PASSWORD = "correct horse battery"


@dataclass
class Server:
    """A SciCat, with a prefix of identifiers that is this session's own. ``accounts`` are logged in once; ``version`` is what it is known
    to be, where it is known."""

    file: CatalogueFile
    version: str = ""

    @cached_property
    def accounts(self) -> Accounts:
        return self.others()

    def others(self, **changes: Any) -> Accounts:
        """The same accounts with connections of their own, or other ones."""
        file = self.file.model_copy(update={"scicat": self.file.scicat.model_copy(update=changes)})
        return Desk(file, BEAMLINES, EXTRACTORS).accounts_for_tests()

    def desk(self) -> Desk:
        return Desk(self.file, BEAMLINES, EXTRACTORS, "a test")

    def record(self, **changes: Any) -> Record:
        """A raw record of a scan of its own."""
        return raw_of(self.accounts.ingest.settings.records, f"scan_{uuid.uuid4().hex[:8]}", **changes)

    def ensure(self, record: Record, **options: Any) -> CatalogueReceipt:
        return ensure_record(self.accounts, record, **options)

    def calls(self, pid: str) -> DatasetCalls:
        """The requests about a record, as the ingest account."""
        return DatasetCalls(self.accounts.ingest, "a test", pid)

    def stored(self, pid: str) -> Json:
        found = self.calls(pid).get()
        assert found is not None
        return found

    def change(self, pid: str, act: Callable[[DatasetCalls], None]) -> None:
        """Change a record with the account that may."""
        self.accounts.changing(lambda client: act(DatasetCalls(client, "a test", pid)))

    def remove_all(self) -> None:
        """Take away what this session wrote, children first, as far as the account may."""
        client = self.accounts.lifecycle or self.accounts.ingest
        for item in self.accounts.ingest.search({"pid": beginning_with(f"{self.file.scicat.pid_prefix}/")}, limit=1000):
            calls, below = DatasetCalls(client, "a test", item["pid"]), f"datasets/{item['pid'].replace('/', '%2F')}"
            with suppress(CatalogueRefused):
                for what in ("attachments", "origdatablocks", "datablocks"):
                    for child in getattr(calls, what)():
                        path = f"{below}/{what}/{child.get('aid') or child['_id']}"
                        client.request("DELETE", path, "remove a test's leavings")
                calls.delete()


SERVERS = ["simulated 4.27", "simulated 5.2", *(["named"] if NAMED in os.environ else [])]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    prefix = {"pid_prefix": f"als-test-{uuid.uuid4().hex[:8]}"}
    if request.param == "named":
        file = load_catalogue_file(Path(os.environ[NAMED]))
        named = Server(file.model_copy(update={"scicat": file.scicat.model_copy(update=prefix)}))
        with closing(named.accounts):
            yield named
            named.remove_all()
        return
    folder = tmp_path_factory.mktemp("scicat")
    users = {
        "ingest": ScicatUser(password=PASSWORD, groups=["ingestor"]),
        "boss": ScicatUser(password=PASSWORD, groups=["admin", "archivemanager"], admin=True),
        "stranger": ScicatUser(password=PASSWORD, groups=["guests"]),
    }
    version = request.param.removeprefix("simulated ")
    config = ScicatConfig(users=users, create_groups=["ingestor"], delete_groups=["archivemanager"], personality=version)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    with Simulator(SimulatorConfig(state_dir=folder / "state", scicat=config)) as simulator:
        simulated = Server(_file_of(simulator, folder, prefix), version)
        with closing(simulated.accounts):
            yield simulated


def _file_of(simulator: Simulator, folder: Path, prefix: dict[str, str]) -> CatalogueFile:
    identities = {name: _identity(folder, name) for name in simulator.config.scicat.users}
    scicat = Scicat(
        api_url=f"{simulator.url}/api/v3",
        frontend_url="https://scicat.example.org",
        identity="ingest",
        lifecycle_identity="boss",
        ingest_group="ingestor",
        **prefix,
    )
    return CatalogueFile(scicat=scicat, identities=identities)


def _identity(folder: Path, name: str) -> ScicatIdentity:
    (folder / name).write_text(name)
    (folder / name).chmod(0o600)
    secrets = {key: SecretRef(file=folder / file) for key, file in (("username", name), ("password", "password"))}
    return ScicatIdentity(kind="scicat", **secrets)


@pytest.fixture(scope="module")
def any_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "any.h5"
    synthetic_scan(path, rows=4, columns=32, angles=5)
    return path


@pytest.fixture
def scan(any_scan: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / "raw" / FOLDER / f"{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(any_scan, path)
        with h5py.File(path, "r+") as file:
            del file[layout.FILE_NAME]
            file[layout.FILE_NAME] = name.encode()
        return path

    return make


def assert_unchanged(server: Server, record: Record) -> None:
    """A second ingest writes nothing."""
    before = server.stored(record.pid)
    receipt = server.ensure(record)
    assert (receipt.created, receipt.patched, receipt.files, receipt.attachments) == (False, (), 0, 0)
    assert server.stored(record.pid) == before


def test_a_server_was_named() -> None:
    if NAMED not in os.environ:
        pytest.skip(f"{NAMED} names no facility file of a SciCat test server: only simulated ones were tried")
    assert load_catalogue_file(Path(os.environ[NAMED])).scicat


# --- rights ------------------------------------------------------------------------------------------------------------


def test_every_right_is_there(server: Server) -> None:
    report = check_rights(server.accounts, write=True)
    assert report.problems == []
    assert report.version.startswith({"4.27": "4.27 or older", "5.2": "5.2 or newer"}.get(server.version, ("4.27", "4.28", "5.2")))
    assert all(account.groups for account in report.accounts)


def test_a_wrong_password_is_told_as_such(server: Server, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not the password")
    (tmp_path / "wrong").chmod(0o600)
    identity = server.file.identities[server.file.scicat.identity]
    wrong = identity.model_copy(update={"password": SecretRef(file=tmp_path / "wrong")})
    broken = Server(server.file.model_copy(update={"identities": {**server.file.identities, server.file.scicat.identity: wrong}}))
    with closing(broken.accounts), pytest.raises(CredentialsRejected, match="would not log in") as caught:
        broken.ensure(server.record())
    assert "not the password" not in str(caught.value)


def test_an_account_without_rights_is_told_which_it_lacks(server: Server) -> None:
    if "stranger" not in server.file.identities:
        pytest.skip("the facility file has no identity 'stranger', an account that may log in and nothing else")
    with closing(server.others(identity="stranger", lifecycle_identity="stranger")) as accounts:
        problems = check_rights(accounts, write=True).problems
        with pytest.raises(CatalogueRefused, match=r"would not create the record .*403") as caught:
            ensure_record(accounts, server.record())
    assert any("create - SciCat must list a group" in problem for problem in problems), problems
    assert "right" in caught.value.next_step


# --- ingest and show ---------------------------------------------------------------------------------------------------

NAMES = ["sand", "a & b #3", "sand-3", "sand 3", "12345", "true", "2026-03-02", "100%_wet", "sämple µ", "50+50", "it's so", "a,b;c={d}=e"]


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_is_recorded_once_and_found_by_any_name(server: Server, scan: Callable[[str], Path], name: str) -> None:
    path = scan(name)
    with server.desk() as desk:
        first = desk.ingest(path, "bl832", below=path.parent.parent)
        assert (first.created, first.files, first.attachments) == (True, 1, 1)
        before = server.stored(first.pid)
        assert (before["size"], before["numberOfFiles"]) == (path.stat().st_size, 1)
        second = desk.ingest(path, "bl832", below=path.parent.parent)
        assert (second.created, second.patched, second.files, second.attachments) == (False, (), 0, 0)
        assert server.stored(first.pid) == before
        for key in (first.pid, str(path)):
            assert [record["pid"] for record in desk.show(key, "bl832")] == [first.pid], key
        assert first.pid in [record["pid"] for record in desk.show(name, "bl832")], "others may have a scan of that name"


def test_every_field_of_a_record_arrives(server: Server) -> None:
    record = server.record()
    server.ensure(record)
    found, sent = server.stored(record.pid), record.body()
    for name in sent.keys() - {"scientificMetadata", "creationTime"}:
        assert contains(found[name], sent[name]), name
    assert found["scientificMetadata"][layout.PIXEL_SIZE]["value"] == 0.00325
    assert found["scientificMetadata"][layout.PIXEL_SIZE]["unit"] == "mm"
    assert_unchanged(server, record)


HOSTILE: dict[str, object] = {
    **METADATA,
    "/a": float("nan"),
    "/b/inf": float("inf"),
    "/c": b"\xff\xfe bytes",
    "/d": np.array(5),
    "/e": np.arange(6).reshape(2, 3),
    "/f": None,
    "/g": "",
    "/h": "\x00\x01 control \ud800",
    "/i.with.dots": 1,
    "/$where": 2,
    "/__proto__": 3,
    "/j%2Fk": 4,
    "/l m": "long " * 5000,
    "/n": 2**60,
    "/o": -0.0,
    "/p": [1.5, float("nan"), 2.5],
    "/q": 1e-300,
    "/u": 1.973654725119181e16,  # comes back as 19736547251191810, which is another integer
    "/r": "<script>alert(1)</script>",
    "/constructor": "x",
    "/s": True,
    "/t": [["a", "b"], ["c", "d"]],
}
UNITS = {"/d": "mm", "/q": "degC", "/o": "C", "/n": "m", "/e": "furlongs", "/s": "µm", "/r": "eV", "/p": "%"}


def test_hostile_metadata_is_kept_and_stays_the_same(server: Server) -> None:
    record = server.record(metadata=HOSTILE, units=UNITS)
    assert record.errors == ()
    assert server.ensure(record).created
    assert_unchanged(server, record)


def test_what_differs_is_corrected_and_what_others_added_stays(server: Server) -> None:
    first = server.record()
    server.ensure(first)
    theirs = server.stored(first.pid)["scientificMetadata"]
    changes = {"scientificMetadata": {**theirs, "staff says": "good"}, "keywords": [*(first.dataset.keywords or []), "seen"]}
    server.change(first.pid, lambda calls: calls.patch(changes))
    later = replace(first, dataset=first.dataset.model_copy(update={"owner": "Somebody Else", "principalInvestigator": "Somebody Else"}))
    receipt = server.ensure(later)
    assert set(receipt.patched) == {"owner", "principalInvestigator"}
    found = server.stored(first.pid)
    assert (found["owner"], found["principalInvestigator"]) == ("Somebody Else", "Somebody Else")
    assert found["scientificMetadata"]["staff says"] == "good"
    assert "seen" in found["keywords"]
    assert (found["size"], found["numberOfFiles"]) == (8_510_000_000, 1), "a correction leaves the sizes as they are"
    assert_unchanged(server, later)


def test_eight_at_once_write_one_complete_record(server: Server) -> None:
    record, start = server.record(), threading.Barrier(8)

    def ingest(_: int) -> CatalogueReceipt:
        with closing(server.others()) as accounts:
            accounts.ingest.whoami()
            start.wait()
            return ensure_record(accounts, record)

    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(ingest, range(8)))
    assert sum(receipt.created for receipt in receipts) == 1
    found = server.stored(record.pid)
    assert (found["size"], found["numberOfFiles"]) == (8_510_000_000, 1)
    assert len(server.calls(record.pid).origdatablocks()) == 1
    assert len(server.calls(record.pid).attachments()) == 1


def test_a_record_that_others_may_not_read_is_told_as_such(server: Server) -> None:
    record = server.record()
    hidden = replace(record, dataset=record.dataset.model_copy(update={"accessGroups": []}))
    server.ensure(hidden)
    with pytest.raises(CatalogueConflict, match="may not read"):
        server.ensure(record)


def test_a_record_that_somebody_poisoned_with_a_null_is_healed(server: Server) -> None:
    """SciCat stores a null at the top of scientificMetadata and from then on fails on every change of that record."""
    record = server.record()
    server.ensure(record)
    poison = {"scientificMetadata": {**server.stored(record.pid)["scientificMetadata"], "mine": "kept", "nothing": None}}
    with pytest.raises(ServiceUnreachable):
        server.change(record.pid, lambda calls: calls.patch(poison))
    assert server.stored(record.pid)["scientificMetadata"]["nothing"] is None
    standing = Standing({"isOnCentralDisk": False}, ())
    assert ensure_standing(server.accounts, "a test", record.pid, standing)["changed"] == ["isOnCentralDisk", "scientificMetadata"]
    found = server.stored(record.pid)
    assert "nothing" not in found["scientificMetadata"]
    assert found["scientificMetadata"]["mine"] == "kept"
    with pytest.raises(ServiceUnreachable):
        server.change(record.pid, lambda calls: calls.patch(poison))
    assert server.ensure(record).patched == ("scientificMetadata",)
    assert_unchanged(server, record)


def test_a_picture_is_found_among_many(server: Server) -> None:
    """SciCat's older list shows only the newest ten."""
    record = server.record()
    server.ensure(record)
    groups = {"ownerGroup": record.dataset.ownerGroup, "accessGroups": record.dataset.accessGroups}
    for number in range(11):
        server.calls(record.pid).add_attachment(str(uuid.uuid4()), {"caption": f"of staff {number}", "thumbnail": picture().uri, **groups})
    assert len(server.calls(record.pid).attachments()) == 12
    assert_unchanged(server, record)


# --- results -----------------------------------------------------------------------------------------------------------


def test_a_result_is_linked_complete_and_written_once(server: Server) -> None:
    scan = server.record()
    result = derived(scan)
    with pytest.raises(RecordInvalid, match="has no record"):
        server.ensure(result)
    server.ensure(scan)
    receipt = server.ensure(result)
    assert (receipt.created, receipt.files, receipt.attachments) == (True, 4, 3)
    found, sent = server.stored(result.pid), result.body()
    for name in ("type", "inputDatasets", "usedSoftware", "jobParameters", "jobLogData", "proposalId", "ownerGroup", "accessGroups"):
        assert found[name] == sent[name], name
    assert (found["size"], found["numberOfFiles"]) == (550, 4)
    assert len(server.calls(result.pid).origdatablocks()) == 2
    shown = server.accounts.ingest.request("GET", f"datasets/{result.pid.replace('/', '%2F')}/attachments", "show the pictures")
    assert {item["caption"] for item in shown} == {"slice x", "slice y", "slice z"}
    assert all(item["thumbnail"].startswith("data:image/jpeg;base64,") and len(item["thumbnail"]) < 60_000 for item in shown)
    with server.desk() as desk:
        assert [item["pid"] for item in desk.show(scan.pid, "bl832")] == [scan.pid, result.pid]
    assert_unchanged(server, result)
    other = derived(scan, parameters={"center": 7.0})
    assert other.pid != result.pid
    assert server.ensure(other).created


def test_files_and_pictures_that_came_later_are_added(server: Server) -> None:
    scan = server.record()
    server.ensure(scan)
    first = derived(scan, file_blocks=[[entry("a.tiff", 1)]], thumbnails=[])
    later = derived(scan, file_blocks=[[entry("a.tiff", 1), entry("b.tiff", 2)], [entry("z.zarr", 4)]], thumbnails=[picture()])
    server.ensure(first, attempt="op")
    receipt = server.ensure(later, attempt="op")
    assert (receipt.files, receipt.attachments) == (2, 1)
    found = server.stored(later.pid)
    assert (found["size"], found["numberOfFiles"]) == (7, 3)
    assert_unchanged(server, later)


# --- lifecycle ---------------------------------------------------------------------------------------------------------


def test_the_lifecycle_follows_and_keeps_what_is_not_ours(server: Server) -> None:
    record = server.record()
    server.ensure(record)
    block = {
        "archiveId": str(uuid.uuid4()),
        "size": 5,
        "packedSize": 5,
        "version": "1",
        "chkAlg": "sha256",
        "dataFileList": [{"path": "a.h5", "size": 5, "time": "2026-03-02T18:30:00.000Z", "chk": "ab" * 32}],
    }
    copies = ({"site": "nersc", "path": "/hpss/a.h5", "state": "verified", "checked_at": "2026-03-02T18:30:00.000Z"},)
    archived = {
        "archivable": False,
        "retrievable": True,
        "isOnCentralDisk": True,
        "archiveStatusMessage": "datasetOnArchiveDisk",
        "archiveRetentionTime": "2036-03-02T18:30:00.000Z",
        "storageLocation": "nersc: /hpss/a.h5",
    }
    purged = {**archived, "isOnCentralDisk": False, "dateOfDiskPurging": "2026-04-02T18:30:00.000Z"}
    server.change(record.pid, lambda calls: calls.patch_lifecycle({"publishable": True}))
    for flags in (archived, purged):
        standing = Standing(flags, copies, (block,))
        assert ensure_standing(server.accounts, "a test", record.pid, standing)["changed"]
        found = server.stored(record.pid)
        assert disagreements(standing, found) == []
        assert found["datasetlifecycle"]["publishable"] is True
        assert ensure_standing(server.accounts, "a test", record.pid, standing)["changed"] == []
        assert server.stored(record.pid) == found
    assert [item["archiveId"] for item in server.calls(record.pid).datablocks()] == [block["archiveId"]]
    assert (found["size"], found["numberOfFiles"]) == (8_510_000_000, 1)
    assert found["scientificMetadata"][layout.NUM_ANGLES] == METADATA[layout.NUM_ANGLES]
    assert_unchanged(server, record)


# --- the platform ------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(server: Server, tmp_path: Path) -> Iterator[World]:
    own = server.file.model_copy(
        update={"scicat": server.file.scicat.model_copy(update={"pid_prefix": f"als-test-{uuid.uuid4().hex[:8]}"})}
    )
    with world_in(tmp_path, catalogue=own) as world:
        yield world
    mine = Server(own)
    with closing(mine.accounts):
        mine.remove_all()


def test_the_platform_and_scicat_are_brought_into_agreement_both_ways(server: Server, world: World) -> None:
    def findings() -> list[tuple[str, str | None]]:
        return [(str(f.kind), f.dataset_key) for f in world.parts.reconciler().findings()]

    def repaired() -> list[tuple[str, str | None]]:
        reconciler = world.parts.reconciler()
        list(reconciler.repair(reconciler.findings(), outside_actor(world.ledger, print)))
        return findings()

    for key in ("delivered", "left_out"):
        world.scan(key)
    delivery = world.parts.deliveries.deliver(world.actor, world.raw("delivered"), OutboxKind.RAW)
    assert delivery.fate is Fate.WRITTEN
    follow_copies(world.parts.facility, world.ledger, world.parts.gate)
    assert [d.fate for d in world.parts.deliveries.drain(outside_actor(world.ledger, print))] == [Fate.WRITTEN]
    assert findings() == [(Difference.NO_RECORD, "left_out")]
    assert repaired() == []
    stack, volume = world.product("delivered")
    dataset = world.ledger.datasets.get("delivered")
    result = world.parts.record_source("bl832").derived(dataset, world.raw("delivered"), stack, volume)
    assert world.parts.deliveries.deliver(world.actor, result, OutboxKind.DERIVED).fate is Fate.WRITTEN
    assert repaired() == []
    pid = delivery.row.pid
    server.change(pid, lambda calls: calls.patch_lifecycle({"isOnCentralDisk": False}))
    stranger = replace(server.record(), pid=f"{pid.split('/')[0]}/of-no-scan")
    server.calls(stranger.pid).create({**stranger.body(), "pid": stranger.pid})
    assert sorted(findings(), key=str) == [(Difference.LIFECYCLE, "delivered"), (Difference.NO_SCAN, None)]
    assert repaired() == [(Difference.NO_SCAN, None)], "a record of no scan is left for a person"
