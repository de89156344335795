"""The parts below the services: configuration, store, tokens, fault rules and the control client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from als_assets.errors import ConfigError
from als_assets.simulator import clock
from als_assets.simulator.config import SimulatorConfig, load_config
from als_assets.simulator.control import Control, ControlRefused
from als_assets.simulator.faults import ACTIONS, FaultBook, FaultRule
from als_assets.simulator.server import Simulator
from als_assets.simulator.store import Store
from als_assets.simulator.tokens import Tokens


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state")
    yield made
    made.close()


# --- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.org"])
def test_a_reachable_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValidationError, match="can be reached from outside"):
        SimulatorConfig(state_dir=tmp_path, host=host)
    assert SimulatorConfig(state_dir=tmp_path, host=host, allow_remote=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_accepted(tmp_path: Path, host: str) -> None:
    assert SimulatorConfig(state_dir=tmp_path, host=host).host == host


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1"),
        ('{"state_dir": "s", "port": 70000}', "port"),
        ('{"state_dir": "s", "colour": 1}', "colour"),
        ('{"state_dir": "s", "globus": {"task_slots": 0}}', "globus.task_slots"),
        ("{}", "state_dir"),
    ],
)
def test_a_wrong_file_names_the_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "simulator.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert words in error.value.sentence
    assert str(path) in error.value.sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.json: cannot be read"):
        load_config(tmp_path / "nope.json")


def test_a_configuration_survives_json(site: Any, tmp_path: Path) -> None:
    path = tmp_path / "simulator.json"
    path.write_text(site.config.model_dump_json())
    assert load_config(path) == site.config


# --- store -------------------------------------------------------------------------------------------------------------


def test_documents(store: Store) -> None:
    assert store.insert("kind", "a", {"n": 1})
    assert not store.insert("kind", "a", {"n": 2})
    store.put("kind", "b", {"n": 3})
    store.put("kind", "a", {"n": 4})
    assert [doc["n"] for doc in store.all("kind")] == [4, 3]
    assert store.update("kind", "a", m=5) == {"n": 4, "m": 5}
    assert store.get("kind", "c") is None
    assert store.get("other", "a") is None
    with pytest.raises(KeyError):
        store.update("kind", "c", n=1)
    assert (store.drop("kind", "a"), store.drop("kind", "a"), store.drop("kind")) == (1, 0, 1)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    store.put("kind", "a", {"n": 1})
    with pytest.raises(ZeroDivisionError), store.transaction(), store.edit("kind", "a") as doc:
        store.put("kind", "b", {})
        doc["n"] = 1 // 0
    assert store.all("kind") == [{"n": 1}]
    with store.transaction():  # and the store still works
        store.update("kind", "a", n=2)
    assert store.get("kind", "a") == {"n": 2}


def test_edits_from_many_threads_are_all_kept(store: Store) -> None:
    store.put("kind", "a", {"n": 0})

    def work() -> None:
        for _ in range(50):
            with store.edit("kind", "a") as doc:
                doc["n"] += 1
            store.append("log", "a", {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("kind", "a") == {"n": 200}
    assert len(store.entries("log", "a")) == 200


def test_logs_have_order_pages_and_an_end(store: Store) -> None:
    numbers = [store.append("log", "a", {"n": number}) for number in range(10)]
    store.append("log", "b", {"n": 99})
    assert [entry["n"] for entry in store.entries("log", "a", newest_first=True, limit=3)] == [9, 8, 7]
    assert [entry["n"] for entry in store.entries("log", "a", after=numbers[7])] == [8, 9]
    store.trim("log", "a", keep=4)
    assert [entry["n"] for entry in store.entries("log", "a")] == [6, 7, 8, 9]
    assert len(store.entries("log", "b")) == 1
    store.trim("log", "b", keep=4)
    assert len(store.entries("log", "b")) == 1


def test_counters_go_on_after_reopening(tmp_path: Path) -> None:
    for expected in (7, 8):
        store = Store(tmp_path)
        assert store.next_number("job", 7) == expected
        store.close()


# --- tokens ------------------------------------------------------------------------------------------------------------


def test_tokens(store: Store) -> None:
    tokens = Tokens(store)
    token = tokens.issue("globus", "client", 100, scopes=["a"])
    holder = tokens.holder(f"Bearer {token}")
    assert holder is not None
    assert (holder.service, holder.subject, holder.expired, holder.facts) == ("globus", "client", False, {"scopes": ["a"]})
    for header in (None, "", token, f"Basic {token}", "Bearer other"):
        assert tokens.holder(header) is None
    other = tokens.issue("scicat", "user", 100)
    tokens.expire("globus")
    assert [tokens.holder(f"bearer {text}").expired for text in (token, other)] == [True, False]  # type: ignore[union-attr]
    tokens.revoke(token)
    assert tokens.holder(f"Bearer {token}") is None


def test_a_token_lasts_as_long_as_it_says(store: Store) -> None:
    holder = Tokens(store).holder(f"Bearer {Tokens(store).issue('globus', 'client', 0)}")
    assert holder is not None
    assert holder.expired


# --- fault rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"where": "moon"}, "where"),
        ({"where": "transfer", "action": "explode"}, "no fault named"),
        ({"where": "http"}, "status or a delay_s"),
        ({"where": "http", "delay_s": 1, "after": True}, "after"),
        ({"where": "transfer", "action": "slow"}, "bytes_per_s"),
        ({"where": "job", "action": "state"}, "state"),
        ({"where": "job", "action": "exit"}, "exit_code"),
        ({"where": "http", "status": 500, "times": 0}, "times"),
        ({"where": "http", "status": 500, "colour": "red"}, "colour"),
    ],
)
def test_a_rule_that_cannot_strike_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FaultRule.model_validate(rule)


def test_a_rule_is_counted_down_and_stays_until_cleared(store: Store) -> None:
    book = FaultBook(store)
    identifier = book.add(FaultRule(where="http", status=500, path="/a*", method="GET", times=2))
    assert book.take("http", method="POST", path="/ab") is None
    assert book.take("http", method="GET", path="/b") is None
    assert [rule is not None for rule in (book.take("http", method="GET", path="/ab") for _ in range(3))] == [True, True, False]
    assert [(rule["id"], rule["left"]) for rule in book.rules()] == [(identifier, 0)]
    assert book.in_force(identifier)
    assert book.clear() == 1
    assert not book.in_force(identifier)


def test_a_rule_without_times_strikes_for_ever(store: Store) -> None:
    book = FaultBook(store)
    book.add(FaultRule(where="job", action="hold", times=None))
    assert all(book.take("job", name="x") for _ in range(5))


def test_two_threads_never_share_the_last_strike(store: Store) -> None:
    book = FaultBook(store)
    book.add(FaultRule(where="job", action="hold", times=20))
    struck: list[object] = []
    threads = [
        threading.Thread(target=lambda: struck.extend(filter(None, (book.take("job", name="x") for _ in range(15))))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(struck) == 20


def test_every_scicat_fault_is_complete() -> None:
    for action in ACTIONS["scicat"]:
        rule = FaultRule(where="scicat", action=action)
        assert rule.status is not None or rule.delay_s > 0
        assert rule.path.startswith("/api/v")
    assert FaultRule(where="scicat", action="stored_then_500", status=503).status == 503


@given(st.sampled_from(sorted(ACTIONS)), st.text(), st.text(), st.text())
def test_a_bare_rule_fits_everything(where: Any, path: str, label: str, name: str) -> None:
    rule = FaultRule(where=where, action=sorted(ACTIONS[where])[0], status=500, state="FAILED", exit_code=1, bytes_per_s=1)
    if where != "scicat":
        assert rule.matches({"path": path, "source_path": path, "label": label, "name": name, "method": "PUT"})
    assert not rule.model_copy(update={"collection": "x"}).matches({"collections": {"y"}})


# --- control -----------------------------------------------------------------------------------------------------------


def test_control_explains_what_it_refuses(simulator: Simulator) -> None:
    with pytest.raises(ControlRefused, match="no fault named 'explode'"):
        simulator.control.add_fault({"where": "job", "action": "explode"})
    with pytest.raises(ControlRefused, match="no task"):
        simulator.control.resume("x")
    with pytest.raises(ControlRefused, match="there are datasets"):
        simulator.control.records("moons")
    with pytest.raises(ControlRefused, match="no system"):
        simulator.control.set_system("moon", "active")
    with pytest.raises(ControlRefused):
        simulator.control.clear_fault("x")
    with pytest.raises(TimeoutError, match="the moon"):
        simulator.control.wait_for(lambda: False, timeout_s=0.05, what="the moon")


def test_a_second_control_sees_the_same(simulator: Simulator) -> None:
    identifier = simulator.control.add_fault(where="http", path="/v0.10/*", status=503)
    with Control(f"{simulator.url}/") as other:
        assert [rule["id"] for rule in other.faults()] == [identifier]
        other.clear_faults()
    assert simulator.control.faults() == []


def test_requests_are_listed_by_method_and_path(simulator: Simulator) -> None:
    httpx.get(f"{simulator.url}/api/v1.2/status?a=1")
    httpx.post(f"{simulator.url}/api/v3/auth/login", json={"username": "u", "password": "hidden"})
    httpx.put(f"{simulator.url}/nothing", content=b"\0" * 10)
    assert [entry["path"] for entry in simulator.control.requests()] == [
        "/api/v1.2/status",
        "/api/v3/auth/login",
        "/nothing",
    ]
    (status,) = simulator.control.requests(path="/api/v1.2/*")
    assert (status["method"], status["query"], status["client"], status["body"]) == ("GET", "a=1", None, None)
    (login,) = simulator.control.requests("POST")
    assert (login["client"], login["body"]) == ("u", {"username": "u", "password": "..."})
    assert simulator.control.requests("PUT")[0]["body"] == {"bytes": 10}


def test_a_stopped_simulator_is_not_ready(site: Any) -> None:
    with Simulator(site.config) as running:
        url = running.url
    with Control(url) as control:
        assert not control.ready()


_OFFSETS = [timezone(timedelta(minutes=minutes)) for minutes in (-720, -480, -1, 0, 345, 840)]

# --- clock ---------------------------------------------------------------------------------------------------------------


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from(_OFFSETS)))
def test_times_survive_their_spelling(moment: Any) -> None:
    assert clock.parse(clock.iso_seconds(moment)) == moment.replace(microsecond=0)
    assert abs((clock.parse(clock.iso_millis(moment)) - moment).total_seconds()) < 0.001


def test_slurm_prints_the_clusters_time() -> None:
    assert clock.slurm(1_700_000_000, "America/Los_Angeles") == "2023-11-14T14:13:20"
    assert clock.slurm(1_700_000_000, "UTC") == "2023-11-14T22:13:20"
    assert clock.slurm(None, "UTC") == "Unknown"
    assert json.dumps(clock.listing(0)) == '"1970-01-01 00:00:00+00:00"'
