"""The outbox at work: an outage waits and says so, a refusal does not, and everything is written once and in order.

Here: the service over real HTTP and a real record. Not here: rows (``tests/ledger/test_outbox.py``) and Dagster (``tests/defs``).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from catalogue_world import World, world_in

from als_assets.catalogue.delivery import Delivery, Fate, outside_actor
from als_assets.catalogue.stored import from_json, to_json
from als_assets.errors import CatalogueFailed, CredentialsRejected, ExportRefused, RecordInvalid
from als_assets.ledger import OperationKind, OperationState, OutboxKind

RAW, DERIVED = OutboxKind.RAW, OutboxKind.DERIVED


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """The running world with nothing waiting and SciCat up, before and after."""
    yield running
    running.up()
    running.turn(minutes=10)
    drain(running)
    for row in running.ledger.outbox.open_rows():
        running.ledger.outbox.done(row, {})


def deliver(world: World, key: str) -> Delivery:
    return world.parts.deliveries.deliver(world.actor, world.raw(key), RAW)


def drain(world: World, **options: Any) -> list[Delivery]:
    return world.parts.deliveries.drain(outside_actor(world.ledger, print), **options)


def test_a_record_survives_the_outbox_unchanged(world: World) -> None:
    world.scan("stored")
    record = world.raw("stored")
    again = from_json(to_json(record))
    assert again == record
    assert again.body() == record.body()
    assert record.thumbnails and record.file_blocks


def test_scicat_is_there_so_the_record_is_written_at_once(world: World) -> None:
    world.scan("prompt")
    delivery = deliver(world, "prompt")
    assert delivery.fate is Fate.WRITTEN
    assert delivery.sentence == "the record was created"
    assert world.stored(delivery.row.pid)["numberOfFiles"] == 1
    assert world.ledger.outbox.open_rows("prompt") == []
    (row,) = world.ledger.outbox.written("prompt")
    assert row.outcome["url"].endswith(delivery.row.pid.replace("/", "%2F"))


OUTAGES = {
    "502 with HTML": {"where": "scicat", "action": "bad_gateway"},
    "503": {"where": "http", "path": "/api/v[34]/*", "status": 503, "body": "busy"},
    "login hangs": {"where": "scicat", "action": "hang_login"},
    "connection lost": {"where": "http", "path": "/api/v[34]/*", "status": "drop"},
    "a page instead of an answer": {"where": "http", "path": "/api/v[34]/datasets*", "status": 200, "body": "<title>Maintenance</title>"},
    "everything is 500": {"where": "http", "path": "/api/v[34]/*", "status": 500, "body": {}},
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_waits_and_is_made_good(world: World, name: str) -> None:
    key = "out_" + name.replace(" ", "_")
    world.scan(key)
    if name == "login hangs":
        world.simulator.control.expire_tokens("scicat")
    world.simulator.control.add_fault(OUTAGES[name], times=None)
    delivery = deliver(world, key)
    assert delivery.fate is Fate.WAITING
    assert delivery.sentence.startswith("waiting for SciCat since 20")
    operations = [o for o in world.ledger.operations.of(key) if o.kind is OperationKind.CATALOGUE]
    assert [o.state for o in operations] == [OperationState.FAILED], "nothing stays open that another run would have to wait for"
    world.up()
    assert drain(world) == [], "the pause is kept"
    world.turn(minutes=5)
    (written,) = drain(world)
    assert (written.fate, written.row.pid) == (Fate.WRITTEN, delivery.row.pid)
    stored = world.stored(delivery.row.pid)
    assert (stored["numberOfFiles"], stored["size"]) == (1, world.ledger.datasets.get(key).size_bytes)


def test_nobody_there_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.scan("nobody")
    client = world.parts.accounts.ingest
    moved = client.settings
    monkeypatch.setattr(client, "settings", type(moved)(**{**vars(moved), "api_url": "http://127.0.0.1:9/api/v3"}))
    delivery = deliver(world, "nobody")
    assert delivery.fate is Fate.WAITING
    assert "did not answer" in str(delivery.row.last_error)


def test_while_scicat_is_known_to_be_down_it_is_not_asked_by_every_step(world: World) -> None:
    for key in ("down_1", "down_2"):
        world.scan(key)
    world.down()
    deliver(world, "down_1")
    asked = len(world.simulator.control.requests())
    second = deliver(world, "down_2")
    assert second.fate is Fate.WAITING
    assert len(world.simulator.control.requests()) == asked
    world.up()
    world.turn(minutes=5)
    assert [d.row.dataset_key for d in drain(world)] == ["down_1", "down_2"]


def test_a_drain_stops_at_an_outage_and_keeps_the_order(world: World) -> None:
    for key in ("line_1", "line_2", "line_3"):
        world.scan(key)
    world.down()
    for key in ("line_1", "line_2", "line_3"):
        deliver(world, key)
    world.turn(minutes=5)
    (tried,) = drain(world)
    assert (tried.fate, tried.row.dataset_key) == (Fate.WAITING, "line_1")
    assert world.ledger.outbox.due(10) == [], "the others wait as long as the one that was tried"
    world.up()
    world.turn(minutes=5)
    assert [(d.row.dataset_key, d.fate) for d in drain(world)] == [(f"line_{n}", Fate.WRITTEN) for n in (1, 2, 3)]


def test_one_record_that_cannot_be_taken_holds_nobody_else_back(world: World) -> None:
    world.scan("stuck"), world.scan("free")
    world.down()
    stuck = deliver(world, "stuck")
    deliver(world, "free")
    world.up()
    fault = {"where": "http", "path": f"/api/v3/datasets/{stuck.row.pid.replace('/', '%2F')}*", "status": 503, "body": "x", "times": None}
    world.simulator.control.add_fault(fault)
    world.simulator.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=503, body="x")
    world.turn(minutes=5)
    assert [(d.row.dataset_key, d.fate) for d in drain(world)] == [("stuck", Fate.WAITING), ("free", Fate.WRITTEN)]


def test_a_result_waits_behind_its_scan(world: World) -> None:
    world.scan("pair")
    stack, volume = world.product("pair")
    world.down()
    raw = deliver(world, "pair")
    world.up()
    source, dataset = world.parts.record_source("bl832"), world.ledger.datasets.get("pair")
    record = source.derived(dataset, world.raw("pair"), stack, volume)
    derived = world.parts.deliveries.deliver(world.actor, record, DERIVED)
    assert derived.fate is Fate.WAITING, "SciCat is up, but the scan's record is not there yet"
    world.turn(minutes=5)
    assert [d.row.pid for d in drain(world)] == [raw.row.pid, record.pid]
    assert world.stored(record.pid)["inputDatasets"] == [raw.row.pid]


def test_a_refusal_is_an_error_and_is_not_repeated_until_it_is_wanted_anew(world: World) -> None:
    world.scan("refused")
    refusal = {"status": 400, "message": '[{"property":"owner","children":[],"constraints":{"isString":"owner must be a string"}}]'}
    world.simulator.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=400, body=refusal)
    with pytest.raises(RecordInvalid, match="owner must be a string"):
        deliver(world, "refused")
    world.turn(days=1)
    assert drain(world) == []
    (row,) = world.ledger.outbox.refused()
    assert "owner must be a string" in str(row.last_error)
    assert deliver(world, "refused").fate is Fate.WRITTEN
    assert world.ledger.outbox.refused() == []


def test_a_500_for_this_record_alone_is_an_error(world: World) -> None:
    world.scan("only_mine")
    world.simulator.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=500, body={}, times=None)
    with pytest.raises(CatalogueFailed, match="answers otherwise"):
        deliver(world, "only_mine")
    assert len(world.ledger.outbox.refused()) == 1


def test_a_refusal_found_by_the_drain_is_told_with_its_error(world: World) -> None:
    world.scan("later_refused")
    world.down()
    deliver(world, "later_refused")
    world.up()
    world.simulator.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=400, body={"message": ["no"]})
    world.turn(minutes=5)
    (delivery,) = drain(world)
    assert delivery.fate is Fate.REFUSED
    assert isinstance(delivery.error, RecordInvalid)
    assert "no (400)" in delivery.sentence


def test_a_wrong_password_is_red_and_needs_nothing_once_it_is_mended(world: World) -> None:
    world.scan("password")
    world.simulator.control.add_fault(where="http", path="/api/v3/auth/login", status=401, body={"message": "Unauthorized"}, times=None)
    world.simulator.control.expire_tokens("scicat")
    with pytest.raises(CredentialsRejected):
        deliver(world, "password")
    world.turn(minutes=5)
    (tried,) = drain(world)
    assert (tried.fate, type(tried.error)) == (Fate.WAITING, CredentialsRejected)
    world.up()
    world.turn(minutes=5)
    assert [d.fate for d in drain(world)] == [Fate.WRITTEN]


def test_the_gate_is_asked_again_when_the_outbox_is_emptied(world: World) -> None:
    world.scan("flagged")
    world.down()
    delivery = deliver(world, "flagged")
    world.up()
    world.ledger.datasets.set_release("flagged", may_leave=False, reason="export control")
    asked = len(world.simulator.control.requests())
    world.turn(minutes=5)
    (tried,) = drain(world)
    assert isinstance(tried.error, ExportRefused)
    assert len(world.simulator.control.requests()) == asked
    assert not world.has(delivery.row.pid)


def test_a_killed_writer_is_followed_up(world: World) -> None:
    """The process died between the intent and the answer: its operation is open under a run that is gone."""
    world.scan("killed")
    record = world.raw("killed")
    row = world.ledger.outbox.enqueue(record.pid, "killed", RAW, to_json(record))
    intent = world.ledger.operations.begin(f"catalogue:{record.pid}", OperationKind.CATALOGUE, "killed", {"pid": record.pid})
    taken = world.ledger.operations.take(intent.id, "a run that is gone", lambda other: True)
    world.ledger.operations.submitted(taken)
    delivery = world.parts.deliveries.drain(world.actor)
    assert [(d.row.id, d.fate) for d in delivery] == [(row.id, Fate.WRITTEN)]
    assert world.stored(record.pid)["numberOfFiles"] == 1


def test_a_drain_leaves_alone_what_a_living_run_writes(world: World) -> None:
    world.scan("busy")
    record = world.raw("busy")
    world.ledger.outbox.enqueue(record.pid, "busy", RAW, to_json(record))
    world.ledger.workers.register("living", "busy")
    intent = world.ledger.operations.begin(f"catalogue:{record.pid}", OperationKind.CATALOGUE, "busy", {"pid": record.pid})
    taken = world.ledger.operations.take(intent.id, "living", lambda other: False)
    assert drain(world) == []
    assert not world.has(record.pid)
    world.ledger.operations.finish(taken, OperationState.CANCELLED, why="a test", outcome={})
    assert [d.fate for d in drain(world)] == [Fate.WRITTEN]


def test_a_step_and_drains_at_once_write_one_record(world: World) -> None:
    world.scan("crowd")
    world.simulator.control.add_fault(where="http", path="*/origdatablocks", method="POST", delay_s=0.5)
    with ThreadPoolExecutor(4) as pool:
        step = pool.submit(deliver, world, "crowd")
        drains = [pool.submit(drain, world) for _ in range(3)]
        fates = {step.result().fate, *(d.fate for done in drains for d in done.result())}
    assert fates == {Fate.WRITTEN}
    (row,) = world.ledger.outbox.written("crowd")
    assert world.stored(row.pid)["size"] == world.ledger.datasets.get("crowd").size_bytes


def test_a_slow_scicat_ends_a_drain_in_time(world: World) -> None:
    for key in ("slow_1", "slow_2"):
        world.scan(key)
        record = world.raw(key)
        world.ledger.outbox.enqueue(record.pid, key, RAW, to_json(record))
    assert drain(world, budget_s=-1.0) == []
    assert len(drain(world)) == 2
