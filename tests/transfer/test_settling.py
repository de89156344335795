"""A copy in doubt, settled by a person: read again, made anew, vouched for, or declared lost; each with name, reason and evidence.

Here: the commands ``als copy``, in front of the simulated facility. Not here: what makes a copy doubtful.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from facility_in_a_box import NERSC_RAW, PSCRATCH, RAW, SCRATCH, Bench
from typer.testing import CliRunner, Result

from als_assets.cli import app, copies
from als_assets.errors import AlsError, DeleteFailed, LedgerError, LocationAway, NoVerifiedSource
from als_assets.ledger import Audit, Dataset, Manifest, ReplicaState
from als_assets.ledger.rebuild import differences

S = ReplicaState
SLICES = {f"slice_{n:05d}.tiff": bytes([n]) * 200 for n in range(3)}


@pytest.fixture
def scan(bench: Bench) -> Dataset:
    scan = bench.admit()
    bench.copy(scan, RAW)
    bench.copy(scan, NERSC_RAW)
    return scan


@pytest.fixture
def als(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(copies, "platform_for", lambda _facility: bench.platform)
    monkeypatch.setattr(copies, "actor_for", lambda _parts, _command: bench.actor())

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["copy", *arguments, "--reason", "a disk was swapped", "--who", "ada"])

    return run


def doubt(bench: Bench, scan: Dataset, location: str) -> None:
    bench.ledger.replicas.move(bench.replica(scan, location).id, S.SUSPECT, why="looked again: nothing is there")


def newest(bench: Bench, scan: Dataset) -> Audit:
    return bench.ledger.audit.of(scan.key)[0]


class TestProve:
    @pytest.mark.parametrize("location", [RAW, NERSC_RAW, "spot832"])
    def test_one_that_is_what_it_should_be_counts_again(self, bench: Bench, scan: Dataset, als: object, location: str) -> None:
        """Read here, fetched from NERSC, or one whose own sum was never taken and is known from another copy."""
        doubt(bench, scan, location)
        done = als("prove", scan.key, "--at", location)  # type: ignore[operator]
        assert done.exit_code == 0 and "is what it should be, and counts again" in done.output, done.output
        row = bench.replica(scan, location)
        assert row.state is S.VERIFIED and row.sha256 == bench.replica(scan, RAW).sha256
        assert (row.evidence["settled_by"], row.evidence["reason"]) == ("ada", "a disk was swapped")
        assert newest(bench, scan).who == "ada" and "had every byte read again" in newest(bench, scan).why

    @pytest.mark.parametrize("location", [RAW, NERSC_RAW])
    @pytest.mark.parametrize("how", ["rotten", "shorter", "gone"])
    def test_one_that_is_not_stays_in_doubt_and_its_bytes_stay(
        self, bench: Bench, scan: Dataset, als: object, location: str, how: str
    ) -> None:
        file = bench.raw_file(scan, location)
        content = file.read_bytes()
        left = {"rotten": b"x" + content[1:], "shorter": content[:-1], "gone": None}[how]
        file.unlink() if left is None else file.write_bytes(left)
        doubt(bench, scan, location)
        done = als("prove", scan.key, "--at", location)  # type: ignore[operator]
        assert isinstance(done.exception, AlsError) and "It stays suspect." in done.exception.sentence
        assert "als copy replace" in done.exception.next_step and bench.state(scan, location) is S.SUSPECT
        assert (file.read_bytes() if file.exists() else None) == left
        assert newest(bench, scan).who == "ada" and newest(bench, scan).evidence

    def test_one_that_is_verified_is_proven_with_every_byte(self, bench: Bench, scan: Dataset, als: object) -> None:
        before = bench.replica(scan, RAW).verified_at
        assert "SHA-256 of every file read afresh" in als("prove", scan.key, "--at", RAW).output  # type: ignore[operator]
        assert bench.replica(scan, RAW).verified_at > before

    def test_one_that_is_no_copy_is_refused(self, bench: Bench, scan: Dataset, als: object) -> None:
        bench.ledger.replicas.expect(scan.key, "raw", "nersc832_alsdev_pscratch_raw", scan.raw_path)
        done = als("prove", scan.key, "--at", "nersc832_alsdev_pscratch_raw")  # type: ignore[operator]
        assert "is expected, not suspect" in str(done.exception)
        absent = als("prove", scan.key, "--at", RAW, "--product", "recon_tiff")  # type: ignore[operator]
        assert "no copy of recon_tiff" in str(absent.exception)


class TestProveAStack:
    """A result without sums of its own, far away."""

    def test_it_is_compared_with_the_sums_of_a_verified_copy(self, bench: Bench, scan: Dataset, als: object) -> None:
        stack = bench.stack(scan, SLICES)
        bench.platform.transfers.ensure_replica(bench.actor(), scan.key, "recon_tiff", SCRATCH, stack.path)
        bench.ledger.replicas.move(stack.id, S.SUSPECT, why="a test")
        done = als("prove", scan.key, "--at", PSCRATCH, "--product", "recon_tiff")  # type: ignore[operator]
        assert done.exit_code == 0, done.output
        row = bench.replica(scan, PSCRATCH, "recon_tiff")
        assert row.state is S.VERIFIED and row.evidence["sums_known_from"] == SCRATCH
        assert all(entry.sha256 for entry in row.manifest.entries), "its sums are known from now on"

    def test_without_any_sum_it_stays_in_doubt(self, bench: Bench, scan: Dataset, als: object) -> None:
        stack = bench.stack(scan, SLICES)
        bench.ledger.replicas.move(stack.id, S.SUSPECT, why="a test")
        done = als("prove", scan.key, "--at", PSCRATCH, "--product", "recon_tiff")  # type: ignore[operator]
        assert isinstance(done.exception, NoVerifiedSource) and "No SHA-256 is on record" in done.exception.sentence
        assert bench.replica(scan, PSCRATCH, "recon_tiff").state is S.SUSPECT


class TestReplace:
    def test_it_is_made_again_from_a_verified_one(self, bench: Bench, scan: Dataset, als: object) -> None:
        file = bench.raw_file(scan, RAW)
        good = file.read_bytes()
        file.write_bytes(b"x" + good[1:])
        doubt(bench, scan, RAW)
        done = als("replace", scan.key, "--at", RAW)  # type: ignore[operator]
        assert done.exit_code == 0 and "was made again from" in done.output
        assert file.read_bytes() == good and bench.state(scan, RAW) is S.VERIFIED
        assert any(row.who == "ada" and "made again from another copy" in row.why for row in bench.ledger.audit.of(scan.key))

    def test_a_verified_one_is_left_alone(self, bench: Bench, scan: Dataset, als: object) -> None:
        assert "only a suspect or lost one is replaced" in str(als("replace", scan.key, "--at", RAW).exception)  # type: ignore[operator]


class TestAdopt:
    """The sum on record was taken of a bad copy, so that every good one is refused."""

    def doubt_all(self, bench: Bench, scan: Dataset) -> str:
        """Nobody can tell any more by the record which one is right. The sum of the right bytes."""
        good = bench.raw_file(scan, "spot832").read_bytes()
        bench.raw_file(scan, RAW).write_bytes(b"x" + good[1:])
        doubt(bench, scan, RAW)
        bad = hashlib.sha256(b"x" + good[1:]).hexdigest()
        bench.ledger.replicas.adopted(
            bench.replica(scan, RAW).id, Manifest.single(len(good), bad), why="a bad disk lied once", evidence={}, who="nobody"
        )
        doubt(bench, scan, "spot832")
        return hashlib.sha256(good).hexdigest()

    @pytest.mark.parametrize("location", ["spot832", NERSC_RAW])
    def test_its_sum_counts_from_now_on(self, bench: Bench, scan: Dataset, als: object, location: str) -> None:
        right = self.doubt_all(bench, scan)
        assert "It stays suspect." in str(als("prove", scan.key, "--at", location).exception)  # type: ignore[operator]

        done = als("adopt", scan.key, "--at", location)  # type: ignore[operator]

        assert done.exit_code == 0 and f"is the raw file on record now (SHA-256 {right})" in done.output
        row = bench.replica(scan, location)
        assert (row.state, row.sha256, row.manifest.sha256) == (S.VERIFIED, right, right)
        assert (row.evidence["settled_by"], len(row.evidence["sha256_before"])) == ("ada", 64) and row.evidence["sha256_before"] != right
        other = bench.replica(scan, RAW)
        assert (other.state, other.sha256, other.manifest.sha256) == (S.SUSPECT, None, None)
        assert any("which ada says is the raw file" in entry.why and entry.who == "ada" for entry in bench.ledger.audit.of(scan.key))
        assert als("replace", scan.key, "--at", RAW).exit_code == 0  # type: ignore[operator]
        assert bench.replica(scan, RAW).sha256 == right == bench.ledger.replicas.raw_sha256(scan.key)
        assert differences(bench.ledger.engine) == []

    def test_one_of_another_size_is_not_adopted(self, bench: Bench, scan: Dataset, als: object) -> None:
        right = self.doubt_all(bench, scan)
        bench.raw_file(scan, "spot832").write_bytes(b"short")
        assert "It stays suspect." in str(als("adopt", scan.key, "--at", "spot832").exception)  # type: ignore[operator]
        assert bench.ledger.replicas.raw_sha256(scan.key) != right

    def test_only_raw_files_in_doubt_are_adopted(self, bench: Bench, scan: Dataset, als: object) -> None:
        assert "is verified, not suspect" in str(als("adopt", scan.key, "--at", RAW).exception)  # type: ignore[operator]
        stack = bench.stack(scan, {"slice.tiff": b"grey"})
        bench.ledger.replicas.move(stack.id, S.SUSPECT, why="a test")
        with pytest.raises(LedgerError, match="is no raw file"):
            bench.platform.transfers.settling.adopt(bench.actor(), stack, who="ada", reason="a test")


class TestLost:
    def test_one_in_doubt(self, bench: Bench, scan: Dataset, als: object) -> None:
        doubt(bench, scan, NERSC_RAW)
        bench.raw_file(scan, NERSC_RAW).write_bytes(b"")
        assert als("lost", scan.key, "--at", NERSC_RAW).exit_code == 0  # type: ignore[operator]
        row = bench.replica(scan, NERSC_RAW)
        assert row.state is S.LOST and row.evidence["declared_lost_by"] == "ada" and "has 0 bytes instead of" in row.evidence["lies_there"]
        assert bench.raw_file(scan, NERSC_RAW).exists(), "no file is touched"

    def test_one_that_is_there_and_whole_is_not_lost(self, bench: Bench, scan: Dataset, als: object) -> None:
        done = als("lost", scan.key, "--at", RAW)  # type: ignore[operator]
        assert "is there with its files and sizes; it is not lost" in str(done.exception) and bench.state(scan, RAW) is S.VERIFIED

    def test_an_outage_is_no_loss(self, bench: Bench, scan: Dataset, als: object) -> None:
        bench.control.add_fault(where="http", path="*/stat", status=502, code="ExternalError.Broken")
        assert isinstance(als("lost", scan.key, "--at", NERSC_RAW).exception, AlsError)  # type: ignore[operator]
        assert bench.state(scan, NERSC_RAW) is S.VERIFIED

    def test_all_of_a_location_that_are_gone(self, bench: Bench, scan: Dataset, als: object) -> None:
        bench.raw_file(scan, NERSC_RAW).unlink()
        done = als("lost", "--at", NERSC_RAW)  # type: ignore[operator]
        assert f"raw of {scan.key} at {NERSC_RAW}: lost." in done.output and bench.state(scan, NERSC_RAW) is S.LOST


class TestADiskThatIsNotMounted:
    """Its root is an empty folder: nothing is known of what should lie there, and nothing is taken for lost."""

    @pytest.fixture(params=[RAW, NERSC_RAW])
    def location(self, request: pytest.FixtureRequest, bench: Bench, scan: Dataset) -> object:
        name = str(request.param)
        mount = unmount(bench, scan, name)
        yield name
        mount()

    def test_it_cannot_be_looked_at(self, bench: Bench, scan: Dataset, location: str) -> None:
        transfers, replica = bench.platform.transfers, bench.replica(scan, location)
        for ask in (lambda: transfers.look_again(replica), lambda: transfers.prove_again(bench.actor(), replica, 0)):
            with pytest.raises(AlsError, match=f"The location {location} cannot be looked at"):
                ask()
        assert bench.state(scan, location) is S.VERIFIED

    def test_another_source_is_taken(self, bench: Bench, scan: Dataset, location: str) -> None:
        other = {RAW: NERSC_RAW, NERSC_RAW: RAW}[location]
        doubt(bench, scan, other)
        receipt = bench.copy(scan, other)
        assert receipt.made and receipt.evidence["copied_from"] == "spot832" and bench.state(scan, location) is S.VERIFIED

    def test_a_person_may_say_that_it_was_emptied(self, bench: Bench, scan: Dataset, location: str, als: object) -> None:
        assert als("lost", scan.key, "--at", location).exit_code == 0  # type: ignore[operator]
        row = bench.replica(scan, location)
        assert row.state is S.LOST and row.evidence["lies_there"] == "its disk is not mounted, or was emptied"


def test_nothing_is_written_below_the_mount_point(bench: Bench, scan: Dataset) -> None:
    """Other copies are on record at that disk, so its empty root is no new and empty disk."""
    bench.copy(bench.admit(), RAW)
    doubt(bench, scan, RAW)
    mount = unmount(bench, scan, RAW)
    disk = Path(bench.platform.facility.location(RAW).site_root)
    with pytest.raises(LocationAway):
        bench.copy(scan, RAW)
    assert list(disk.iterdir()) == [] and bench.state(scan, RAW) is S.SUSPECT
    mount()
    assert bench.copy(scan, RAW).made


def test_a_deletion_is_not_believed_while_the_disk_is_away(bench: Bench, scan: Dataset) -> None:
    """Globus finds nothing to delete there, and calls the task failed; that nothing is left does not mean that it was deleted."""
    replica = bench.ledger.replicas.move(bench.replica(scan, NERSC_RAW).id, S.DELETING, why="the test wants it gone")
    mount = unmount(bench, scan, NERSC_RAW)
    told: list[str] = []

    def wait(_seconds: float) -> None:
        if any("cannot be looked at" in words for words in told):
            mount()
            told.clear()

    with pytest.raises(DeleteFailed):
        bench.platform.transfers.delete_replica(bench.actor(wait=wait, tell=told.append), replica, {"because": "a test"})
    assert bench.state(scan, NERSC_RAW) is S.DELETING and bench.raw_file(scan, NERSC_RAW).exists()
    bench.platform.transfers.delete_replica(bench.actor(), bench.replica(scan, NERSC_RAW), {"because": "a test"})
    assert bench.state(scan, NERSC_RAW) is S.DELETED and not bench.raw_file(scan, NERSC_RAW).exists()


@pytest.mark.parametrize("location", ["spot832", NERSC_RAW])
def test_a_deletion_that_is_called_done_is_not_believed_either(
    bench: Bench, scan: Dataset, location: str, meddle: Callable[[Callable[[], object]], None]
) -> None:
    """Globus says that it is deleted, which is not so; and in that moment the disk goes away."""
    file, content = bench.raw_file(scan, location), bench.raw_file(scan, location).read_bytes()
    replica = bench.ledger.replicas.move(bench.replica(scan, location).id, S.DELETING, why="the test wants it gone")
    mounts: list[Callable[[], object]] = []

    def lie() -> None:
        if not mounts:
            file.write_bytes(content)
            mounts.append(unmount(bench, scan, location))

    def wait(_seconds: float) -> None:
        if any("cannot be looked at" in words for words in bench.told):
            mounts[0]()

    meddle(lie)
    with pytest.raises(DeleteFailed, match=r"1 file\(s\) are still there"):
        bench.platform.transfers.delete_replica(bench.actor(wait=wait, tell=bench.told.append), replica, {"because": "a test"})
    assert bench.state(scan, location) is S.DELETING and file.read_bytes() == content
    bench.platform.transfers.delete_replica(bench.actor(), bench.replica(scan, location), {"because": "a test"})
    assert bench.state(scan, location) is S.DELETED and not file.exists()


def unmount(bench: Bench, scan: Dataset, location: str) -> Callable[[], object]:
    """Put an empty folder in the place of a disk; call what is returned to mount it again."""
    place = bench.platform.facility.location(location)
    disk = Path(place.site_root) if place.mounted else _root_of(bench, scan, location)
    away = disk.with_name("the disk")
    disk.rename(away)
    disk.mkdir()

    def mount() -> None:
        if away.exists():
            disk.rmdir()
            away.rename(disk)

    return mount


def _root_of(bench: Bench, scan: Dataset, name: str) -> Path:
    """The folder of the simulator behind the root of a location that this machine does not see."""
    raw = bench.raw_file(scan, name)
    prefix = len(Path(bench.platform.facility.location(name).prefix).parts)
    return raw.parents[len(Path(scan.raw_path).parts) - 1 + prefix]
