"""Talking to SciCat over real HTTP. Here: login, repeats, secrets, the export gate. Not here: reconciling records."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from catalogue_samples import raw

from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.settings import CatalogueSettings
from als_assets.errors import (
    AlsError,
    CatalogueConflict,
    CatalogueRefused,
    CredentialsRejected,
    ExportRefused,
    RecordInvalid,
    ServiceUnreachable,
)
from als_assets.simulator.server import Simulator

Settings = Callable[..., CatalogueSettings]
LOGIN = "/api/v3/auth/login"


def anywhere(key: str) -> None:
    """The gate of a dataset that may leave."""


def never(key: str) -> None:
    raise ExportRefused(f"The dataset {key} stays at ALS", next_step="Ask the export officer")


def logins(scicat: Simulator) -> int:
    return len(scicat.control.requests(path=LOGIN))


@pytest.mark.parametrize(
    ("url", "v3"),
    [
        ("https://x.org/api/v3", "https://x.org/api/v3"),
        ("https://x.org/api/v3/", "https://x.org/api/v3"),
        ("https://x.org/api/v4", "https://x.org/api/v3"),
        ("https://x.org/api", "https://x.org/api/v3"),
        ("https://x.org/", "https://x.org/api/v3"),
        ("https://x.org/scicat/api/v3", "https://x.org/scicat/api/v3"),
    ],
)
def test_the_api_address_may_be_given_in_any_way(url: str, v3: str) -> None:
    settings = CatalogueSettings(url, "https://f.org/", "u", lambda: "p")
    assert settings.api("v3") == v3
    assert settings.api("v4") == v3.replace("/v3", "/v4")


def test_deep_links_are_encoded() -> None:
    settings = CatalogueSettings("https://x.org", "https://f.org/", "u", lambda: "p")
    assert settings.record_url("als/a b") == "https://f.org/datasets/als%2Fa%20b"
    assert settings.proposal_url("ALS-1/2") == "https://f.org/proposals/ALS-1%2F2"


def test_one_login_serves_many_requests(scicat: Simulator, settings: Settings) -> None:
    with CatalogueClient(settings(), anywhere) as client:
        assert [client.whoami()["username"] for _ in range(3)] == ["ingestor"] * 3
    assert logins(scicat) == 1


def test_the_password_is_asked_for_only_when_it_is_needed(scicat: Simulator, settings: Settings) -> None:
    asked: list[str] = []

    def provide() -> str:
        asked.append("asked")
        return "correct horse battery"

    with CatalogueClient(settings(password_provider=provide), anywhere) as client:
        assert asked == []
        client.whoami()
    assert asked == ["asked"]


def test_a_wrong_password_is_not_tried_again(scicat: Simulator, settings: Settings) -> None:
    client = CatalogueClient(settings(password_provider=lambda: "wrong"), anywhere)
    with client, pytest.raises(CredentialsRejected, match="log in ingestor") as caught:
        client.whoami()
    assert "wrong" not in str(caught.value)
    assert logins(scicat) == 1


def test_a_login_that_hangs_ends(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="scicat", action="hang_login", times=None)
    client = CatalogueClient(settings(timeout_s=0.2, attempts=2), anywhere)
    with client, pytest.raises(ServiceUnreachable, match="did not answer"):
        client.whoami()
    scicat.control.clear_faults()


def test_a_login_that_fails_is_repeated(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path=LOGIN, status=502, body="<title>Bad Gateway</title>", times=2)
    with CatalogueClient(settings(), anywhere) as client:
        assert client.whoami()["username"] == "ingestor"
    assert logins(scicat) == 3


def test_a_login_without_a_token_is_refused(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path=LOGIN, status=201, body={}, times=None)
    with CatalogueClient(settings(), anywhere) as client, pytest.raises(ServiceUnreachable, match="without a token"):
        client.whoami()


def test_nobody_there(settings: Settings) -> None:
    client = CatalogueClient(settings(api_url="http://127.0.0.1:9", attempts=2), anywhere)
    with client, pytest.raises(ServiceUnreachable, match="ConnectError"):
        client.whoami()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_outages_are_waited_out(scicat: Simulator, settings: Settings, status: int) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/users/my/self", status=status, body="later", times=3)
    with CatalogueClient(settings(), anywhere) as client:
        assert client.whoami()["username"] == "ingestor"


def test_outages_that_last_are_an_error(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="scicat", action="bad_gateway", times=None, path="/api/v3/users/*")
    with CatalogueClient(settings(attempts=3), anywhere) as client, pytest.raises(ServiceUnreachable, match="502 Bad Gateway"):
        client.whoami()
    assert len(scicat.control.requests(path="/api/v3/users/my/self")) == 3


def test_a_500_is_not_repeated_blindly(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/users/my/self", status=500, body={}, times=1)
    with CatalogueClient(settings(), anywhere) as client:
        with pytest.raises(ServiceUnreachable, match="Internal Server Error"):
            client.whoami()
        assert client.whoami()


@pytest.mark.parametrize("status", [301, 400, 404, 418])
def test_other_refusals_are_not_repeated(scicat: Simulator, settings: Settings, status: int) -> None:
    scicat.control.add_fault(where="http", path="/api/v3/datasets/*", method="PATCH", status=status, body={"message": "no"})
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, record.dataset_key, record.pid)
        calls.create(record.body())
        with pytest.raises(CatalogueRefused, match="no"):
            calls.patch({"owner": "x"})
    assert len(scicat.control.requests(method="PATCH")) == 1


def test_an_answer_that_is_no_json_is_an_error(scicat: Simulator, settings: Settings) -> None:
    scicat.control.add_fault(
        where="http", path="/api/v3/users/my/self", status=200, body="<html>hello</html>", headers={"content-type": "text/html"}
    )
    with CatalogueClient(settings(), anywhere) as client, pytest.raises(ServiceUnreachable, match="not JSON"):
        client.whoami()


# --- expiry ------------------------------------------------------------------------------------------------------------

both = pytest.mark.parametrize("personality", ["5.2", "4.27"], indirect=True)


@both
def test_an_expired_token_is_renewed_once(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        client.whoami()
        scicat.control.expire_tokens("scicat")
        DatasetCalls(client, record.dataset_key, record.pid).create(record.body())
    assert logins(scicat) == 2


@both
def test_nothing_found_is_believed_only_when_scicat_knows_who_asks(scicat: Simulator, settings: Settings) -> None:
    """4.27 answers an expired token as if the record did not exist for guests."""
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, record.dataset_key, record.pid)
        calls.create(record.body())
        calls.add_origdatablock({"size": 1, "dataFileList": [{"path": "a", "size": 1, "time": "2026-03-02T18:30:00Z"}]})
        for read in (calls.get, calls.origdatablocks):
            scicat.control.expire_tokens("scicat")
            assert read()
        assert DatasetCalls(client, "other", "als/other").get() is None


def test_an_empty_answer_to_an_anonymous_question_is_asked_again(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, record.dataset_key, record.pid)
        calls.create(record.body())
        scicat.control.add_fault(where="http", path="/api/v3/datasets/*", method="GET", status=404, body={"message": "not found"})
        scicat.control.add_fault(where="http", path="/api/v3/users/my/self", status=401, body={"message": "Unauthorized"})
        found = calls.get()
    assert found is not None
    assert found["pid"] == record.pid


def test_a_token_is_renewed_before_it_expires(scicat: Simulator, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import als_assets.catalogue.login as login

    clock = [1000.0]
    monkeypatch.setattr(login.time, "monotonic", lambda: clock[0])
    with CatalogueClient(settings(), anywhere) as client:
        client.whoami()
        clock[0] += 3600 - 61
        client.whoami()
        assert logins(scicat) == 1
        clock[0] += 2
        client.whoami()
    assert logins(scicat) == 2


def test_a_refusal_that_stays_after_a_new_login_is_believed(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    client = CatalogueClient(settings(username="guest"), anywhere)
    with client, pytest.raises(CatalogueRefused, match="Forbidden") as caught:
        DatasetCalls(client, record.dataset_key, record.pid).create(record.body())
    assert "right" in caught.value.next_step
    assert logins(scicat) == 2


# --- creating ----------------------------------------------------------------------------------------------------------


def test_a_record_that_exists_is_a_conflict(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, record.dataset_key, record.pid)
        calls.create(record.body())
        with pytest.raises(CatalogueConflict, match="already exists"):
            calls.create(record.body())


def test_scicat_names_the_field_it_refuses(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    with CatalogueClient(settings(), anywhere) as client, pytest.raises(RecordInvalid, match="contactEmail"):
        DatasetCalls(client, record.dataset_key, record.pid).create({**record.body(), "contactEmail": "jane@localhost"})
    assert scicat.control.records() == []


def test_another_service_at_the_address_is_noticed(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    scicat.control.add_fault(where="http", path="/api/v3/datasets", status=201, body={"hello": "world"})
    with CatalogueClient(settings(), anywhere) as client, pytest.raises(ServiceUnreachable, match="something else"):
        DatasetCalls(client, record.dataset_key, record.pid).create(record.body())


def test_file_lists_are_not_sent_twice(scicat: Simulator, settings: Settings) -> None:
    record = raw()
    with CatalogueClient(settings(), anywhere) as client:
        calls = DatasetCalls(client, record.dataset_key, record.pid)
        calls.create(record.body())
        scicat.control.add_fault(where="http", path="*/origdatablocks", method="POST", status="drop", after=True)
        with pytest.raises(ServiceUnreachable):
            calls.add_origdatablock({"size": 1, "dataFileList": [{"path": "a", "size": 1, "time": "2026-03-02T18:30:00Z"}]})
    assert len(scicat.control.requests(method="POST", path="*/origdatablocks")) == 1


# --- the gate and the secrets ------------------------------------------------------------------------------------------


def every_call(client: CatalogueClient) -> list[Callable[[], Any]]:
    calls = DatasetCalls(client, "secret-scan", "als/1")
    return [
        lambda: calls.create(raw().body()),
        calls.get,
        lambda: calls.patch({"owner": "x"}),
        calls.origdatablocks,
        lambda: calls.add_origdatablock({}),
        calls.attachments,
        lambda: calls.add_attachment("id", {}),
    ]


def test_the_gate_is_asked_before_every_request_about_a_dataset(scicat: Simulator, settings: Settings) -> None:
    with CatalogueClient(settings(), never) as client:
        for call in every_call(client):
            with pytest.raises(ExportRefused, match="secret-scan"):
                call()
    assert scicat.control.requests() == [], "not even a login left"


def test_the_gate_is_asked_again_for_every_repeat(scicat: Simulator, settings: Settings) -> None:
    """A scan that is flagged while SciCat is away is not sent when SciCat comes back."""
    asked: list[str] = []

    def flagged_later(key: str) -> None:
        asked.append(key)
        if len(asked) == 3:
            never(key)

    scicat.control.add_fault(where="scicat", action="bad_gateway", times=None, path="/api/v3/datasets*")
    with CatalogueClient(settings(attempts=9), flagged_later) as client, pytest.raises(ExportRefused):
        DatasetCalls(client, "secret-scan", "als/1").get()
    assert len(scicat.control.requests(path="/api/v3/datasets*")) == 2


def test_secrets_are_nowhere_to_be_seen(scicat: Simulator, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    record = raw()
    errors: list[AlsError] = []
    with caplog.at_level(logging.DEBUG), CatalogueClient(settings(), anywhere) as client:
        client.whoami()
        token = client._login.header()["Authorization"].removeprefix("Bearer ")
        echo = {"message": f"Cannot POST /x?access_token={token} for correct horse battery, Bearer {token}"}
        for status in (400, 404, 500, 409):
            scicat.control.add_fault(where="http", path="/api/v3/datasets", method="POST", status=status, body=echo)
            with pytest.raises(AlsError) as caught:
                DatasetCalls(client, record.dataset_key, record.pid).create(record.body())
            errors.append(caught.value)
        shown = [repr(client), repr(client.settings), repr(client._login), str(vars(client._login)["_token"])]
    shown += [f"{error!r} {error} {error.details} {error.next_step}" for error in errors]
    shown += [f"{entry['path']}?{entry['query']}" for entry in scicat.control.requests()]
    for text in (*shown, caplog.text):
        assert token not in text
        assert "correct horse" not in text
