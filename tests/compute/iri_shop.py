"""Jobs at sites behind the IRI API: the simulated OLCF, and profiles for NERSC and ALCF against the API's full personality.

Here: makers. Not here: assertions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from facility_in_a_box import Bench
from joserfc.jwk import RSAKey
from small_jobs import Shop, shop_at

from als_assets.compute import submission
from als_assets.compute.iri.transport import IriTransport
from als_assets.facility.compute import IriCompute
from als_assets.facility.identities import SfapiIdentity, TokenIdentity
from als_assets.facility.secrets import SecretRef
from als_assets.simulator.config import IriFacility, IriToken, SfapiConfig, SimulatorConfig
from als_assets.simulator.server import Simulator

TOKEN = "a-token-of-the-test"
OLCF = "/iri/olcf/api/v1"


@pytest.fixture
def olcf(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """OLCF. After a lost answer the job is looked for without long pauses, but for long: its list shows no names, so it must begin."""
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=30))
    shop = shop_at(bench, "olcf")
    shop.transport.poll_s = 0.03
    return shop


@dataclass
class Profile:
    """One running simulator with one full facility per site, and the secrets to go there."""

    simulator: Simulator
    folder: Path

    def transport(self, name: str = "alcf", **changes: Any) -> IriTransport:
        """ALCF's profile: a token, and file systems named for PBS. NERSC's: its API client, version 2, no list of jobs."""
        common = {"kind": "iri", "api_url": f"{self.simulator.url}/iri/{name}/api", "raw": "raw", "scratch": "scratch", "account": "als"}
        places = {"log_dir": str(self.folder / "logs"), "poll_s": 0.05}
        if name == "alcf":
            own: dict[str, Any] = {"resource": "Polaris", "queue": "demand", "custom_attributes": {"filesystems": "home:eagle"}}
            identity: TokenIdentity | SfapiIdentity = TokenIdentity(kind="token", token=self.secret("token", TOKEN))
        else:
            own = {"resource": "compute", "group": "perlmutter", "queue": "realtime", "version": "v2", "batch": False}
            own |= {"token_url": f"{self.simulator.url}/c2id/token", "custom_attributes": {"constraint": "cpu"}}
            client = self.secret("client", "abcdefghij123")
            identity = SfapiIdentity(kind="sfapi", client_id=client, key=SecretRef(file=self.folder / "key"))
        setup = IriCompute.model_validate({**common, **places, "identity": "x", **own, **changes})
        return IriTransport(setup, identity, name.upper())

    def secret(self, name: str, content: str) -> SecretRef:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(content)
        return SecretRef(file=path)


@contextmanager
def full_facilities(folder: Path, **changes: Any) -> Iterator[Profile]:
    """A simulator with the sites alcf and nersc."""
    key = RSAKey.generate_key(2048)
    usual = {"roots": [folder], "queue_wait_s": 0.02, "kill_wait_s": 0.3, "slots": 4, **changes}
    sites = {
        "alcf": IriFacility(resource="Polaris", group="polaris", tokens={TOKEN: IriToken(), "weak": IriToken(compute=False)}, **usual),
        "nersc": IriFacility(resource="compute", group="perlmutter", **usual),
    }
    sfapi = SfapiConfig(clients={"abcdefghij123": key.as_dict(private=False)})
    with Simulator(SimulatorConfig(state_dir=folder / "state", iri=sites, sfapi=sfapi)) as simulator:
        profile = Profile(simulator, folder)
        profile.secret("key", key.as_pem(private=True).decode())
        yield profile
