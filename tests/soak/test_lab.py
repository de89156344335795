"""Single histories worth a name: what is refused at a check site, and deletions that die together.

Here: the laboratory driven by hand. Not here: random histories (``test_histories``) and the month (``test_month``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from machine import Record

from als_assets.errors import ServiceUnreachable
from als_assets.facility.models import LocationClass
from als_assets.facility.retention import RawLeft, Retention, RetentionRule
from als_assets.ledger import ReplicaState
from als_assets.ledger.acting import PATIENCE
from als_assets.soak.lab import BEGIN, Lab
from als_assets.soak.places import ARCHIVE, DATA, SPOT, STAGED
from als_assets.soak.world import World
from als_assets.transfer.looking import Looks, manifest_of

S = ReplicaState
NOW = Retention(grace_hours=0, rules={LocationClass.ACQUISITION: RetentionRule(min_age_days=1, proof_max_age_days=1)})
STAGED_TOO = Retention(grace_hours=0, rules={LocationClass.SCRATCH: RetentionRule(min_age_days=1)})

DATA_TOO = Retention(grace_hours=0, rules={LocationClass.STAGING: RetentionRule(min_age_days=1, raw=RawLeft(copies=1, sites=1))})


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return Record(tmp_path_factory.mktemp("record"))


@pytest.fixture
def lab(record: Record, tmp_path: Path) -> Iterator[Lab]:
    """A scan with its raw file at the detector, at data832 and in the archive, two days ago."""
    lab = Lab(tmp_path, record.emptied, retention=NOW)
    lab.new_scan("sand")
    assert lab.copy_raw("sand", DATA) and lab.copy_raw("sand", ARCHIVE)
    lab.now = BEGIN + timedelta(days=2)
    yield lab
    lab.close()


def state(lab: Lab, location: str, key: str = "sand") -> ReplicaState:
    return next(r.state for r in lab.ledger.replicas.of(key) if r.location == location)


def at(lab: Lab, location: str) -> str:
    return f"/{location}/ALS-1/sand.h5"


def test_all_well_the_detector_is_cleaned(lab: Lab) -> None:
    (done,) = lab.prune()
    assert done.outcome == "deleted" and "2 copies remain at" in done.words
    assert at(lab, SPOT) not in lab.world.blobs and lab.watch.broken == []


def test_a_copy_that_was_destroyed_before_it_was_deleted_is_no_loss_of_ours(lab: Lab) -> None:
    """Once two copies had to be left; of these the world destroys one, which a milder rule then has deleted."""
    assert [pruned.outcome for pruned in lab.prune()] == ["deleted"] and lab.watch.left == {"sand": 2}
    lab.retention = DATA_TOO
    lab.now += timedelta(days=5)
    lab.world.spoil(at(lab, DATA), "gone")
    assert [pruned.outcome for pruned in lab.prune()] == ["deleted"] and state(lab, DATA) is S.DELETED
    lab.watch.hourly(everything=True)
    assert lab.watch.broken == [] and lab.world.intact(at(lab, ARCHIVE))


def test_a_spoilt_copy_is_never_passed_on_where_the_sum_is_known(lab: Lab) -> None:
    """The copy whose sum is on record is in doubt; the last one has no sum of its own, and rots."""
    lab.world.spoil(at(lab, DATA), "gone")
    lab.world.spoil(at(lab, ARCHIVE), "gone")
    lab.world.spoil(at(lab, SPOT), "rot")
    assert not lab.copy_raw("sand", ARCHIVE) and lab.refused == {"TransferFailed": 1}
    assert state(lab, ARCHIVE) is S.EXPECTED and at(lab, ARCHIVE) not in lab.world.blobs
    assert lab.watch.broken == []


def test_a_sum_that_was_taken_of_a_bad_copy_is_put_right_by_a_person(record: Record, tmp_path: Path) -> None:
    """The first copy arrives damaged, and is passed on: both agree, and the detector's file seems to be the bad one."""
    faults = {"transfer": "corrupt"}
    lab = Lab(tmp_path, record.emptied, draw=lambda event: faults.pop(event, ""), retention=NOW)
    lab.new_scan("sand")
    assert lab.copy_raw("sand", DATA) and lab.copy_raw("sand", ARCHIVE)
    lab.now = BEGIN + timedelta(days=2)
    assert [pruned.outcome for pruned in lab.prune()] == ["blocked"] and state(lab, SPOT) is S.SUSPECT
    (suspect,) = lab.ledger.replicas.in_state(S.SUSPECT)
    assert not lab.settle(suspect), "by the record it is the bad one"
    assert lab.vouch(suspect)
    assert (state(lab, SPOT), state(lab, DATA), state(lab, ARCHIVE)) == (S.VERIFIED, S.SUSPECT, S.SUSPECT)
    lab.repair("sand")
    lab.now += timedelta(days=2)
    assert [pruned.outcome for pruned in lab.prune()] == ["deleted"]
    assert lab.world.intact(at(lab, DATA)) and lab.world.intact(at(lab, ARCHIVE)) and lab.watch.broken == []
    lab.close()


def test_the_watch_sees_a_spoilt_copy_that_is_passed_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.world.spoil(at(lab, ARCHIVE), "gone")
    lab.world.spoil(at(lab, DATA), "gone")
    lab.world.spoil(at(lab, SPOT), "rot")
    monkeypatch.setattr(Looks, "wanted", lambda _looks, replica: manifest_of(replica))
    assert lab.copy_raw("sand", ARCHIVE)
    assert lab.watch.broken == ["/nersc_raw/ALS-1/sand.h5: copied from a spoilt raw file, although its SHA-256 is on record"]


def test_an_outage_in_the_middle_of_a_night_is_waited_for_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparisons of three scans are under way when the service stops answering."""
    for key in ("silt", "clay"):
        lab.new_scan(key)
        assert lab.copy_raw(key, DATA) and lab.copy_raw(key, ARCHIVE)
    lab.now += timedelta(days=2)
    began = lab.now
    with monkeypatch.context() as outage:
        outage.setattr(World, "look", unanswered)
        assert [pruned.outcome for pruned in lab.prune()] == ["blocked"] * 3
    assert PATIENCE <= lab.now - began < PATIENCE * 1.5
    assert [pruned.outcome for pruned in lab.prune()] == ["deleted"] * 3


def unanswered(*_look: object) -> None:
    raise ServiceUnreachable("The service did not answer.", next_step="It is tried again by itself.")


@pytest.mark.parametrize("cut_off", [False, True])
def test_what_cannot_be_seen_is_not_deleted_whatever_the_service_says(record: Record, tmp_path: Path, cut_off: bool) -> None:
    """It calls the deletion done, which is not so, while the disk goes away; the process that asked may be dead by then."""
    faults = {"delete": "disk goes"}
    lab = Lab(tmp_path, record.emptied, draw=lambda event: faults.pop(event, ""), retention=NOW)
    lab.new_scan("sand")
    assert lab.copy_raw("sand", DATA) and lab.copy_raw("sand", ARCHIVE)
    lab.now = BEGIN + timedelta(days=2)
    lab.cut_after_writes = 6 if cut_off else None
    lab.prune()
    assert lab.power_cuts == cut_off
    lab.prune()
    assert state(lab, SPOT) is S.DELETING and lab.world.intact(at(lab, SPOT))
    lab.world.mount(SPOT)
    lab.prune()  # the first finds that it is still there, the second asks anew
    lab.prune()
    lab.watch.hourly(everything=True)
    assert state(lab, SPOT) is S.DELETED and at(lab, SPOT) not in lab.world.blobs and lab.watch.broken == []
    lab.close()


@pytest.mark.parametrize("site", [DATA, ARCHIVE])
@pytest.mark.parametrize("how", ["empty", "older", "rot", "gone"])
def test_a_namesake_that_is_not_the_file_proves_nothing(lab: Lab, site: str, how: str) -> None:
    """A zero-byte namesake, an older file, a file of the same size with other bytes, nothing: refused, with the sentence, wherever."""
    lab.world.spoil(at(lab, site), how)
    (refused,) = lab.prune()
    assert refused.outcome == "blocked"
    assert refused.words.startswith(f"The copy of sand at {site} did not hold when it was looked at again; nothing was deleted.")
    assert lab.world.intact(at(lab, SPOT)) and state(lab, SPOT) is S.VERIFIED and state(lab, site) is S.SUSPECT
    assert lab.watch.deletions == 0


def test_when_the_archive_cannot_be_compared_with_anything_everything_is_kept(lab: Lab) -> None:
    """Of three copies the two at the ALS are damaged: the archive is the only good one left, and nobody touches the others."""
    lab.world.spoil(at(lab, DATA), "rot")
    lab.world.spoil(at(lab, SPOT), "rot")
    assert all(pruned.outcome == "blocked" for pruned in lab.prune()) and lab.watch.deletions == 0


def test_a_mover_that_lied_on_the_first_hop_is_found_out_before_the_original_goes(lab: Lab) -> None:
    """It said that checksums had been compared. The file at data832 was damaged on the way, its sum was taken there, and the archive
    got the same bytes: every copy agrees with every other, only not with the original."""
    lab.new_scan("clay")
    lab.draw = lambda event: "corrupt" if event == "transfer" else ""
    assert lab.copy_raw("clay", DATA)
    lab.draw = lambda _event: ""
    assert lab.copy_raw("clay", ARCHIVE)
    lab.now += timedelta(days=2)
    refused = next(pruned for pruned in lab.prune() if pruned.dataset_key == "clay")
    assert refused.outcome == "blocked" and "The copy of clay at spot832 did not hold when it was looked at again" in refused.words
    assert lab.world.intact("/spot832/ALS-1/clay.h5") and lab.watch.broken == []


class TestAClockSetBack:
    """What was done before it was set back bears a later time than what is done now. It must not count for that."""

    def test_an_old_copy_is_no_new_one(self, lab: Lab) -> None:
        lab.world.spoil(at(lab, DATA), "gone")
        lab.clock_error = timedelta(days=-9)
        assert lab.copy_raw("sand", DATA)
        assert lab.world.intact(at(lab, DATA)) and state(lab, DATA) is S.VERIFIED
        lab.watch.hourly(everything=True)
        assert lab.watch.broken == []

    def test_an_old_deletion_is_no_new_one(self, lab: Lab) -> None:
        lab.retention = STAGED_TOO
        for _ in range(2):
            assert lab.run_job("sand")
            lab.now += timedelta(days=2)
            assert [p.outcome for p in lab.prune() if p.what == "staged_raw"] == ["deleted"]
            assert f"/{STAGED}/ALS-1/sand.h5" not in lab.world.blobs
            lab.clock_error -= timedelta(days=9)
        lab.watch.hourly(everything=True)
        assert lab.watch.broken == []

    def test_a_proof_or_an_announcement_from_the_future_is_none(self, lab: Lab) -> None:
        lab.retention = NOW.model_copy(update={"grace_hours": 24.0})
        assert [p.outcome for p in lab.prune()] == ["announced"]
        lab.clock_error = timedelta(days=-1)
        assert [p.outcome for p in lab.prune()] == ["announced"], "not waiting until that day comes again"
        lab.now += timedelta(hours=25)
        assert [p.outcome for p in lab.prune()] == ["deleted"] and lab.watch.broken == []


class TestDiedTogether:
    """Two deletions that share one task, and a process that died before it was sent."""

    @pytest.fixture
    def pair(self, lab: Lab) -> Lab:
        lab.new_scan("clay")
        lab.copy_raw("clay", DATA)
        lab.retention = STAGED_TOO
        for key in ("sand", "clay"):
            lab.run_job(key)
        lab.now += timedelta(days=2)
        calls = iter(range(1000))
        started = lab.world.start_delete

        def die(*_: object) -> dict[str, object]:
            if next(calls) == 0:
                lab.draw = lambda event: "cut" if event == "call" else ""
            return started(*_)  # type: ignore[arg-type]

        lab.world.start_delete = die  # type: ignore[method-assign]
        assert lab.prune() == [] and lab.power_cuts == 1
        lab.draw = lambda _event: ""
        assert state(lab, STAGED) is state(lab, STAGED, "clay") is S.DELETING and lab.watch.deletions == 0
        return lab

    def test_both_are_carried_on(self, pair: Lab) -> None:
        assert {p.outcome for p in pair.prune()} == {"deleted"} and pair.watch.broken == []

    def test_one_that_is_held_meanwhile_does_not_go_with_the_other(self, pair: Lab) -> None:
        """What was going to be sent named both."""
        pair.ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
        outcomes = {(p.dataset_key, p.what): p.outcome for p in pair.prune()}
        assert outcomes[("sand", "staged_raw")] == "called off" and outcomes[("clay", "staged_raw")] == "deleted"
        assert pair.world.intact(f"/{STAGED}/ALS-1/sand.h5") and state(pair, STAGED) is S.VERIFIED
        pair.watch.hourly(everything=True)
        assert pair.watch.broken == []


class TestTheWatchCanFail:
    """Each promise, broken by hand behind the platform's back, is noticed."""

    def test_a_deletion_without_enough_left(self, lab: Lab) -> None:
        lab.retention = Retention(first_raw=RawLeft(copies=3, sites=3), rules=NOW.rules)
        lab.ledger.replicas.move(lab.raw_copies("sand")[0].id, S.DELETING, why="by mistake")
        doomed = next(r for r in lab.raw_copies("sand") if r.state is S.DELETING)
        lab.watch.deleting(at(lab, doomed.location), False)
        assert any("are left of the raw file" in sentence or "without a rule" in sentence for sentence in lab.watch.broken)

    def test_one_that_is_not_on_record(self, lab: Lab) -> None:
        lab.watch.deleting(at(lab, SPOT), False)
        assert "the record does not say that it is being deleted" in lab.watch.broken[0]

    def test_one_that_is_held_and_one_that_takes_a_file_for_a_folder(self, lab: Lab) -> None:
        spot = next(r for r in lab.raw_copies("sand") if r.location == SPOT)
        lab.ledger.replicas.move(spot.id, S.DELETING, why="by mistake")
        lab.ledger.holds.place(who="ada", reason="paper", dataset_key="sand")
        lab.watch.deleting(at(lab, SPOT), True)
        assert [sentence.split(": ")[1] for sentence in lab.watch.broken] == [
            "a file was deleted as if it were a folder",
            "deleted although somebody holds it",
        ]

    def test_a_record_that_says_what_is_not(self, lab: Lab) -> None:
        lab.world.blobs[at(lab, DATA)] = {"": b"changed behind its back"}
        del lab.world.blobs[at(lab, ARCHIVE)], lab.world.blobs[at(lab, SPOT)]
        lab.watch.hourly(everything=True)
        assert len([s for s in lab.watch.broken if "verified on record" in s]) == 3
        assert "sand: 0 raw copies are left, 1 must be" in lab.watch.broken

    def test_a_deleted_copy_that_is_there(self, lab: Lab) -> None:
        lab.prune()
        lab.world.blobs[at(lab, SPOT)] = {"": b"back"}
        lab.watch.hourly(everything=True)
        assert lab.watch.broken == [f"{at(lab, SPOT)}: deleted on record, but it is there"]
