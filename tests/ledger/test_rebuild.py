"""The table of copies can be made anew from the audit, whatever happened before.

Here: random histories, damage, and the comparison. Not here: what single changes write (``test_replicas``).
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from ledger_kit import Clock, new_scan

from als_assets.errors import AlsError
from als_assets.ledger import Dataset, Entry, Ledger, Manifest, Replica, ReplicaState
from als_assets.ledger.database import reading, writing
from als_assets.ledger.rebuild import differences, rebuild

COLUMNS = [column.key for column in sa.inspect(Replica).column_attrs]


def table(ledger: Ledger) -> list[tuple[object, ...]]:
    with reading(ledger.engine) as session:
        return [tuple(getattr(row, name) for name in COLUMNS) for row in session.scalars(sa.select(Replica).order_by(Replica.id))]


def some_history(ledger: Ledger, clock: Clock, seed: int, steps: int = 60) -> None:
    """Everything that changes a copy, in an order that only chance knows; what the table of states forbids is refused."""
    dice = random.Random(seed)
    for step in range(steps):
        clock.turn(minutes=dice.randrange(1, 900))
        key = f"scan{dice.randrange(3)}"
        ledger.datasets.admit(new_scan(key))
        change = dice.choice(_CHANGES)
        try:
            wanted = ledger.replicas.expect(key, dice.choice(["raw", "recon_tiff"]), "far", f"{key}/{dice.randrange(2)}")
            change(ledger, wanted.id if step % 3 else dice.randrange(1, 4), dice)
        except AlsError:
            continue


def _prove(ledger: Ledger, number: int, dice: random.Random) -> None:
    files = Manifest.of(Entry(f"{i}.tiff", dice.randrange(1, 2**40), mtime_s=1_700_000_000 + i) for i in range(dice.randrange(1, 5)))
    ledger.replicas.verified(number, files, why="looked", evidence={"at": [1, None, "é"]}, sha256=dice.choice([None, "f" * 64]))


_CHANGES: list[Callable[[Ledger, int, random.Random], object]] = [
    _prove,
    lambda ledger, number, dice: ledger.replicas.move(number, dice.choice(list(ReplicaState)), why="so it is", evidence={"n": number}),
    lambda ledger, number, dice: ledger.replicas.move(number, dice.choice(list(ReplicaState)), why="so it is"),
    lambda ledger, number, _: ledger.replicas.announce_pruning(number, "due"),
]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happened_the_table_is_made_anew(ledger: Ledger, clock: Clock, seed: int) -> None:
    some_history(ledger, clock, seed)
    wanted = table(ledger)
    assert len({row[COLUMNS.index("state")] for row in wanted}) > 1, "the history says something"
    assert differences(ledger.engine) == []
    with writing(ledger.engine) as session:
        session.execute(sa.delete(Replica))
    assert len(rebuild(ledger.engine, ledger.audit, who="ada")) == len(wanted)
    assert table(ledger) == wanted and differences(ledger.engine) == []


def test_a_row_that_was_changed_behind_the_back_is_found_and_put_right(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    wanted = table(ledger)
    with writing(ledger.engine) as session:
        session.execute(sa.update(Replica).where(Replica.id == copy.id).values(state=ReplicaState.VERIFIED, size_bytes=5))
    (found,) = differences(ledger.engine)
    assert found.sentence == "raw of sand at far_raw: state, size_bytes" and found.repairable
    assert table(ledger) != wanted, "looking changes nothing"
    rebuild(ledger.engine, ledger.audit, who="ada")
    assert table(ledger) == wanted
    row = ledger.audit.of("sand")[0]
    assert (row.who, row.subject, row.after) == ("ada", "raw of sand at far_raw", "rebuilt")


def test_a_copy_that_the_audit_does_not_know_stays(ledger: Ledger, sand: Dataset) -> None:
    with writing(ledger.engine) as session:
        stray = Replica(dataset_key="sand", product="raw", variant="", location="nowhere", path="x", evidence={})
        stray.state = ReplicaState.VERIFIED
        stray.created_at = stray.changed_at = ledger.clock()
        session.add(stray)
    (found,) = rebuild(ledger.engine, ledger.audit, who="ada")
    assert not found.repairable and "no record of this copy" in found.sentence
    assert ledger.replicas.at("nowhere", "x") is not None


def test_a_later_copy_gets_a_number_of_its_own_after_a_rebuild(ledger: Ledger, sand: Dataset, copy: Replica) -> None:
    with writing(ledger.engine) as session:
        session.execute(sa.delete(Replica))
    rebuild(ledger.engine, ledger.audit, who="ada")
    later = ledger.replicas.expect("sand", "recon_tiff", "far_scratch", "recsand")
    assert later.id > copy.id and differences(ledger.engine) == []
