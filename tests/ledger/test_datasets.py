"""Scans on record: admitted once, started once, flagged and released with the reason.

Here: rows of scans and their audit. Not here: looking into files (``intake``).
"""

from __future__ import annotations

import pytest
from ledger_kit import Clock, new_scan

from als_assets.errors import DatasetUnknown, LedgerError
from als_assets.ledger import Dataset, Ledger, ReplicaState
from als_assets.ledger.datasets import parameters_of


def test_admission_records_the_scan_with_its_first_copy(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    row = ledger.datasets.get("sand")
    assert (row.raw_path, row.proposal, row.may_leave) == ("dla-00847_doe/sand.h5", "ALS-00847", True)
    assert row.admitted_at == clock() and row.started_at is None and row.retired_at is None
    (first,) = ledger.replicas.of("sand")
    assert (first.location, first.path, first.state, first.size_bytes) == ("spot", "dla-00847_doe/sand.h5", ReplicaState.VERIFIED, 5)
    assert "complete when it was admitted" in first.evidence["how"] and first.verified_at == clock()
    copied, audit = ledger.audit.of("sand")
    assert (copied.subject, copied.after) == ("raw of sand at spot", "verified")
    assert audit.after == "admitted" and "dla-00847_doe/sand.h5" in audit.why and "export control" in audit.why


def test_admission_happens_once(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    clock.turn(hours=1)
    again = ledger.datasets.admit(new_scan(key="another-key", file_name="sand.h5", size_bytes=99))
    assert (again.key, again.size_bytes, again.admitted_at) == ("sand", 5, sand.admitted_at)
    assert len(ledger.audit.of("sand")) == 2 and ledger.datasets.find("another-key") is None


def test_a_key_is_never_given_to_a_second_file(ledger: Ledger, sand: Dataset) -> None:
    with pytest.raises(LedgerError, match="The key sand belongs to another file"):
        ledger.datasets.admit(new_scan("sand", folder="other-00001_x"))
    assert ledger.datasets.get("sand").folder == "dla-00847_doe"


def test_the_same_name_elsewhere_is_another_scan(ledger: Ledger, sand: Dataset) -> None:
    ledger.datasets.admit(new_scan("sand-2", folder="other-00001_x", file_name="sand.h5"))
    assert ledger.datasets.files("bl832") == {("dla-00847_doe", "sand.h5"), ("other-00001_x", "sand.h5")}


def test_a_file_in_the_root_has_a_path_without_a_folder(ledger: Ledger) -> None:
    assert ledger.datasets.admit(new_scan("top", folder="", source_path="top.h5")).raw_path == "top.h5"


def test_finding(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    clock.turn(minutes=1)
    ledger.datasets.admit(new_scan("clay"))
    ledger.datasets.admit(new_scan("other", beamline="bl733"))
    assert [d.key for d in ledger.datasets.list(beamline="bl832")] == ["clay", "sand"]
    assert [d.key for d in ledger.datasets.list(newest_first=False, limit=1)] == ["sand"]
    found = ledger.datasets.by_file("bl832", "dla-00847_doe", "clay.h5")
    assert found is not None and found.key == "clay"
    assert ledger.datasets.by_file("bl733", "dla-00847_doe", "clay.h5") is None
    assert ledger.datasets.find("unheard-of") is None
    with pytest.raises(DatasetUnknown, match="No scan with the key 'unheard-of' is known") as caught:
        ledger.datasets.get("unheard-of")
    assert "als scan list" in caught.value.next_step


def test_a_start_is_recorded_once(ledger: Ledger, sand: Dataset, clock: Clock) -> None:
    clock.turn(minutes=1)
    ledger.datasets.admit(new_scan("clay"))
    assert [d.key for d in ledger.datasets.not_started("bl832", 1)] == ["sand"], "the oldest first"
    ledger.datasets.mark_started("sand", "run1")
    began = clock()
    clock.turn(hours=1)
    ledger.datasets.mark_started("sand", "run2")
    assert ledger.datasets.get("sand").started_at == began
    assert [row.why for row in ledger.audit.of("sand") if row.after == "started"] == ["run run1 began"]
    assert [d.key for d in ledger.datasets.not_started("bl832", 9)] == ["clay"]


def test_a_flag_and_a_release_say_who_and_why(ledger: Ledger, sand: Dataset) -> None:
    ledger.datasets.set_release("sand", may_leave=False, reason="ITAR", who="ada")
    assert ledger.datasets.get("sand").may_leave is False and ledger.datasets.get("sand").release_reason == "ITAR"
    ledger.datasets.set_release("sand", may_leave=True, reason="cleared")
    rows = ledger.audit.of("sand")[:2]
    assert [(r.who, r.before, r.after, r.why) for r in rows] == [
        ("tester", "stays", "may leave", "cleared"),
        ("ada", "may leave", "stays", "ITAR"),
    ]
    with pytest.raises(DatasetUnknown):
        ledger.datasets.set_release("unheard-of", may_leave=True, reason="x")


def test_a_decision_of_its_own_is_in_the_audit(ledger: Ledger, sand: Dataset) -> None:
    ledger.audit.note("dispatch of sand", why="site: als", dataset_key="sand", evidence={"site": "als"})
    row = ledger.audit.of("sand", limit=1)[0]
    assert (row.subject, row.why, row.evidence, row.before, row.after) == ("dispatch of sand", "site: als", {"site": "als"}, None, None)


def test_parameters_are_chosen_for_a_scan_and_taken_back(ledger: Ledger, sand: Dataset) -> None:
    facts = dict(ledger.datasets.get("sand").facts)
    ledger.datasets.set_parameter("sand", "center", 1281.5, who="jdoe")
    ledger.datasets.set_parameter("sand", "ring_removal", "sorting")
    assert parameters_of(ledger.datasets.get("sand")) == {"center": 1281.5, "ring_removal": "sorting"}
    ledger.datasets.set_parameter("sand", "center", None)
    row = ledger.datasets.get("sand")
    assert parameters_of(row) == {"ring_removal": "sorting"}
    assert {name: row.facts[name] for name in facts} == facts, "what the file told stays"
    newest, _, first = ledger.audit.of("sand")[:3]
    assert (newest.before, newest.after, first.after, first.who) == ("center = 1281.5", None, "center = 1281.5", "jdoe")
    with pytest.raises(DatasetUnknown):
        ledger.datasets.set_parameter("nothing", "center", 1)
