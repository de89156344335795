"""Fixtures of the simulator's tests: a configuration with two collections, a job root and a catalogue, and running simulators.

Here: what several test modules share. Not here: tests; and no fake of any client, all of them are the published packages.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from globus_sdk import ClientApp, ConfidentialAppAuthClient, GlobusAppConfig, TransferClient
from joserfc.jwk import RSAKey

from als_assets.simulator.config import SimulatorConfig
from als_assets.simulator.server import Simulator

sys.path.insert(0, str(Path(__file__).parent))

MOVER, PRUNER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SFAPI_CLIENT = "abcdefghij123"


@dataclass(frozen=True)
class Site:
    """A configuration and the directories and secrets behind it."""

    config: SimulatorConfig
    source: str
    target: str
    readonly: str
    mapped: str
    folders: dict[str, Path]
    key: dict[str, Any]
    jobs: Path


@pytest.fixture(scope="session")
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048)


@pytest.fixture
def site(tmp_path: Path, rsa_key: RSAKey) -> Site:
    ids = [str(uuid.uuid4()) for _ in range(4)]
    folders = {name: tmp_path / name for name in ("source", "target", "readonly", "mapped", "jobs")}
    for folder in folders.values():
        folder.mkdir()
    collections: dict[str, Any] = {
        ids[0]: {"name": "data832", "root": folders["source"]},
        ids[1]: {"name": "nersc832", "root": folders["target"]},
        ids[2]: {"name": "readonly", "root": folders["readonly"], "writable_by": [PRUNER]},
        ids[3]: {"name": "mapped", "root": folders["mapped"], "entity_type": "GCSv5_mapped_collection"},
    }
    config = SimulatorConfig.model_validate(
        {
            "state_dir": tmp_path / "state",
            "globus": {"clients": {MOVER: "mover-secret", PRUNER: "pruner-secret"}, "collections": collections, "retry_s": 0.05},
            "sfapi": {
                "clients": {SFAPI_CLIENT: rsa_key.as_dict(private=False)},
                "roots": [folders["jobs"]],
                "queue_wait_s": 0.05,
                "kill_wait_s": 0.3,
                "environment": {"SITE": "box"},
            },
            "scicat": {
                "users": {
                    "ingestor": {"password": "ingest", "groups": ["ingestor"]},
                    "archiver": {"password": "archive", "groups": ["archivemanager"]},
                    "user1": {"password": "user1", "groups": ["ALS-12345"]},
                    "boss": {"password": "boss", "groups": ["admin"], "admin": True},
                },
                "create_groups": ["ingestor"],
                "lifecycle_groups": ["archivemanager"],
                "delete_groups": ["archivemanager"],
            },
        }
    )
    return Site(config, *ids, folders, rsa_key.as_dict(private=True), folders["jobs"])


@pytest.fixture
def simulator(site: Site) -> Iterator[Simulator]:
    with Simulator(site.config) as running:
        yield running


@pytest.fixture
def globus_client() -> Iterator[Callable[..., TransferClient]]:
    """Makes unmodified TransferClients: ``globus_client(simulator, client_id, secret)``."""
    opened: list[Any] = []

    def make(simulator: Simulator, client: str = MOVER, secret: str = "mover-secret") -> TransferClient:
        login = ConfidentialAppAuthClient(client, secret, base_url=simulator.url)
        app = ClientApp("als-test", login_client=login, config=GlobusAppConfig(token_storage="memory"))
        transfer = TransferClient(app=app, base_url=simulator.url)
        opened.extend([transfer, app, login])
        return transfer

    yield make
    for thing in opened:
        thing.close()


@pytest.fixture
def transfer_client(simulator: Simulator, globus_client: Callable[..., TransferClient]) -> TransferClient:
    return globus_client(simulator)


@pytest.fixture
def old_simulator(site: Any) -> Iterator[Simulator]:
    """Backend 4.27."""
    settings = site.config.model_dump()
    settings["scicat"]["personality"] = "4.27"
    with Simulator(SimulatorConfig.model_validate(settings)) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Callable[..., httpx.Client]]:
    """Makes logged-in plain clients for /api: ``http(simulator, "ingestor", "ingest")``."""
    opened: list[httpx.Client] = []

    def make(simulator: Simulator, user: str = "ingestor", password: str = "ingest") -> httpx.Client:
        client = httpx.Client(base_url=f"{simulator.url}/api", timeout=30)
        opened.append(client)
        answer = client.post("/v3/auth/login", json={"username": user, "password": password})
        assert answer.status_code == 201
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def old_simulator_url(site: Any) -> Iterator[Callable[[], Simulator]]:
    """Starts backend 4.27 on the state of a stopped simulator."""
    started: list[Simulator] = []

    def start() -> Simulator:
        settings = site.config.model_dump()
        settings["scicat"]["personality"] = "4.27"
        started.append(Simulator(SimulatorConfig.model_validate(settings)).start())
        return started[-1]

    yield start
    for running in started:
        running.stop()
