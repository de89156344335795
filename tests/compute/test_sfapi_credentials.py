"""The identity at NERSC: tokens that run out, keys of every shape, and refusals that name the client but never the key."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from facility_in_a_box import Bench
from joserfc.jwk import RSAKey
from small_jobs import Shop

from als_assets.compute.sfapi.transport import SfapiTransport
from als_assets.errors import CredentialsRejected, SecretUnavailable, ServiceUnreachable
from als_assets.facility.identities import SfapiIdentity
from als_assets.facility.secrets import SecretRef

JOBS = "/api/v1.2/compute/jobs/perlmutter"


@pytest.fixture
def transport_with(bench: Bench, tmp_path: Path) -> Iterator[Callable[[str], SfapiTransport]]:
    """A transport of its own, with this text as its key."""
    made: list[SfapiTransport] = []

    def make(key: str, mode: int = 0o600, **changes: Any) -> SfapiTransport:
        file = tmp_path / "key"
        file.touch()
        file.chmod(mode)
        file.write_text(key)
        identity = bench.platform.facility.identities["nersc_jobs"]
        assert isinstance(identity, SfapiIdentity)
        setup = bench.platform.facility.sites["nersc"].compute
        made.append(SfapiTransport(setup.model_copy(update=changes), identity.model_copy(update={"key": SecretRef(file=file)})))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def the_key(bench: Bench) -> str:
    return (bench.box.root / "secrets" / "sfapi-key.json").read_text()


def test_a_port_where_nobody_listens_is_an_outage(transport_with: Callable[..., SfapiTransport], bench: Bench) -> None:
    transport = transport_with(the_key(bench), api_url="http://127.0.0.1:1/api/v1.2")

    with pytest.raises(ServiceUnreachable, match="ConnectError"):
        transport.look_many(["1"])


def test_a_token_that_ran_out_is_renewed_without_a_word(nersc: Shop) -> None:
    assert nersc.view("1") is None
    nersc.bench.control.expire_tokens("sfapi")

    assert nersc.view("1") is None

    assert nersc.bench.told == []


def test_tokens_are_kept_as_long_as_they_live(nersc: Shop) -> None:
    nersc.view("1")
    before = len(nersc.bench.control.requests(path="/c2id/token"))

    for _ in range(3):
        nersc.view("1")

    assert len(nersc.bench.control.requests(path="/c2id/token")) == before


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_that_a_new_token_does_not_mend_names_the_client(nersc: Shop, status: int) -> None:
    nersc.bench.control.add_fault(where="http", path=JOBS, status=status, times=None)

    with pytest.raises(CredentialsRejected, match=f"API client in file .*sfapi-client-id .answered {status}.") as caught:
        nersc.view("1")

    assert "Renew the client in Iris" in caught.value.next_step
    assert len([r for r in nersc.bench.control.requests(path=JOBS) if "kwargs=jobid%3D1&" in r["query"] + "&"]) >= 2


def test_a_wrong_key_is_told_without_the_key(transport_with: Callable[..., SfapiTransport]) -> None:
    other = json.dumps(RSAKey.generate_key(2048).as_dict(private=True))

    with pytest.raises(CredentialsRejected, match="invalid_client") as caught:
        transport_with(other).look_many(["1"])

    everything = "".join(traceback.format_exception(caught.value)) + str(caught.value.details)
    assert json.loads(other)["d"] not in everything


def test_a_key_may_be_a_jwk_or_pem(transport_with: Callable[..., SfapiTransport], bench: Bench) -> None:
    key = RSAKey.import_key(json.loads(the_key(bench)))

    assert transport_with(json.dumps(key.as_dict(private=True))).look_many(["1"]) == {}
    assert transport_with(key.as_pem(private=True).decode()).look_many(["1"]) == {}


PUBLIC = json.dumps(RSAKey.generate_key(2048).as_dict(private=False))


@pytest.mark.parametrize(
    "garbage", ["{not json", PUBLIC, "no key at all", '{"kty": "RSA"}', "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_key_file_with_something_else_in_it_is_named(transport_with: Callable[..., SfapiTransport], garbage: str) -> None:
    with pytest.raises(SecretUnavailable, match=r"file .*key holds no private key"):
        transport_with(garbage).look_many(["1"])


def test_a_key_that_the_group_can_read_is_not_used(transport_with: Callable[..., SfapiTransport], bench: Bench) -> None:
    with pytest.raises(SecretUnavailable, match="can be read by other accounts"):
        transport_with(the_key(bench), mode=0o640).look_many(["1"])


def test_a_renewed_key_needs_no_restart(transport_with: Callable[..., SfapiTransport], bench: Bench, tmp_path: Path) -> None:
    transport = transport_with(json.dumps(RSAKey.generate_key(2048).as_dict(private=True)))
    with pytest.raises(CredentialsRejected):
        transport.look_many(["1"])

    (tmp_path / "key").write_text(the_key(bench))

    assert transport.look_many(["1"]) == {}


def test_an_outage_of_the_token_service_is_no_verdict_on_the_key(transport_with: Callable[..., SfapiTransport], bench: Bench) -> None:
    bench.control.add_fault(where="http", path="/c2id/token", status=503, body="sorry", times=None)

    with pytest.raises(ServiceUnreachable, match="gave no token"):
        transport_with(the_key(bench)).look_many(["1"])


def test_a_token_that_is_none_is_an_outage(transport_with: Callable[..., SfapiTransport], bench: Bench) -> None:
    bench.control.add_fault(where="http", path="/c2id/token", status=200, body="<html>")

    with pytest.raises(ServiceUnreachable, match="gave no token"):
        transport_with(the_key(bench)).look_many(["1"])


def test_an_outage_is_an_outage_also_where_the_login_uses_httpx2(tmp_path: Path) -> None:
    """The trap: newer Authlib logs in with httpx2 where it is installed, whose errors are none of httpx's."""
    (tmp_path / "httpx2.py").write_text("from httpx import *\nclass HTTPError(Exception): ...\n")
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "import httpx, httpx2\n"
        "from als_assets.compute.sfapi import api as sfapi_api\n"
        "assert {httpx.HTTPError, httpx2.HTTPError} <= set(sfapi_api._NO_TOKEN)\n"
        "api = sfapi_api.SfapiApi.__new__(sfapi_api.SfapiApi)\n"
        "class Client:\n"
        "    @property\n"
        "    def token(self): raise httpx2.HTTPError('refused')\n"
        "api._client = Client()\n"
        "try: api._token(False)\n"
        "except sfapi_api.ServiceUnreachable as error: print(error.sentence)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "The NERSC API gave no token (HTTPError).", done.stderr


def test_staff_hear_nothing_of_what_authlib_would_rather_have() -> None:
    code = "import als_assets.compute.sfapi.transport"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_that_was_replaced_while_its_token_ran_out_is_read_at_once(
    transport_with: Callable[..., SfapiTransport], bench: Bench, tmp_path: Path
) -> None:
    """Without a restart, and without a failed request in between."""
    good = the_key(bench)
    transport = transport_with(good)
    assert transport.look_many(["1"]) == {}
    stale = transport.api._client
    stale.close()  # type: ignore[union-attr]
    transport.api._client = type(stale)("nobody", json.loads(good), **_addresses(bench))  # as if NERSC had dropped it

    assert transport.look_many(["1"]) == {}


def _addresses(bench: Bench) -> dict[str, str]:
    setup = bench.platform.facility.sites["nersc"].compute
    return {"api_base_url": setup.api_url, "token_url": setup.token_url}  # type: ignore[union-attr]
