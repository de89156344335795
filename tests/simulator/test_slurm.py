"""The same promises over a real Slurm: SFAPI by the unmodified sfapi_client, IRI by our transport, and the life of the daemons."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from typer.testing import CliRunner

from als_assets.cli import app
from als_assets.compute.iri.transport import IriTransport
from als_assets.compute.sfapi.transport import SfapiTransport
from als_assets.compute.spec import JobSpec, Step
from als_assets.errors import ConfigError, JobRefused, ServiceUnreachable
from als_assets.facility import load_facility
from als_assets.facility.compute import IriCompute, SfapiCompute
from als_assets.facility.identities import SfapiIdentity, TokenIdentity
from als_assets.facility.secrets import SecretRef
from als_assets.simulator import server, slurm
from als_assets.simulator.config import IriFacility, IriToken, SfapiConfig, SimulatorConfig
from als_assets.simulator.server import Simulator
from als_assets.simulator.slurm import SlurmCluster

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # authlib would rather have httpx2
    from sfapi_client import Client

real = pytest.mark.skipif(bool(slurm.why_not()), reason=f"no real Slurm: {slurm.why_not()}")
CLIENT = "abcdefghij123"


class World:
    """A simulator whose SFAPI and IRI run their jobs on a real Slurm each, and our transports to both."""

    def __init__(self, folder: Path) -> None:
        self.folder, key = folder, RSAKey.generate_key(2048)
        usual: dict[str, Any] = {"backend": "slurm", "roots": [folder], "environment": {"SITE": "box"}}
        sfapi = SfapiConfig(clients={CLIENT: key.as_dict(private=False)}, **usual)
        iri = {"olcf": IriFacility(resource="frontier", cluster="frontier", tokens={"a-token": IriToken()}, **usual)}
        self.simulator = Simulator(SimulatorConfig(state_dir=folder / "state", sfapi=sfapi, iri=iri))
        self.key = key.as_dict(private=True)
        for name, text in (("client", CLIENT), ("key", key.as_pem(private=True).decode()), ("token", "a-token")):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text)

    def transports(self) -> dict[str, Any]:
        url, secret = self.simulator.url, lambda name: SecretRef(file=self.folder / name)
        common = {"raw": "raw", "scratch": "scratch", "log_dir": str(self.folder / "logs"), "account": "als", "identity": "x"}
        nersc = SfapiCompute.model_validate({**common, "kind": "sfapi", "api_url": f"{url}/api/v1.2", "token_url": f"{url}/c2id/token"})
        olcf = IriCompute.model_validate(
            {**common, "kind": "iri", "api_url": f"{url}/iri/olcf/api", "resource": "frontier", "queue": "batch"}
        )
        return {
            "nersc": SfapiTransport(nersc, SfapiIdentity(kind="sfapi", client_id=secret("client"), key=secret("key"))),
            "olcf": IriTransport(olcf, TokenIdentity(kind="token", token=secret("token")), "OLCF"),
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("slurm"))
    with made.simulator:
        yield made


def spec(folder: Path, name: str, script: str, **changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "name": name,
        "dataset_key": "x",
        "title": "The work",
        "site": "x",
        "steps": (Step("work", ("bash", "-euc", script)),),
        "output": PurePosixPath(folder, "out"),
        "log_dir": PurePosixPath(folder, "logs"),
        "walltime_s": 300,
    }
    return JobSpec(**{**fields, **changes})


@real
def test_sbatch_refuses_in_its_own_words(world: World) -> None:
    transports = world.transports()
    job = spec(world.folder, "refused", "true")
    script = transports["nersc"].script(job).replace("-C cpu", "-C vacuum")

    with pytest.raises(JobRefused, match="Invalid feature specification"):
        transports["nersc"].submit(job.name, script, job.log_dir)
    with pytest.raises(JobRefused, match="invalid partition specified: nowhere"):
        transports["olcf"].submit(
            job.name, transports["olcf"].script(spec(world.folder, "refused", "true", queue_name="nowhere")), job.log_dir
        )
    world.simulator.control.add_fault(where="job", action="refuse", message="sbatch: error: no")
    with pytest.raises(JobRefused, match="sbatch: error: no"):
        transports["nersc"].submit(job.name, transports["nersc"].script(job), job.log_dir)
    for transport in transports.values():
        transport.close()


@real
def test_the_unmodified_client_reads_the_tables_of_a_real_slurm(world: World) -> None:
    url = world.simulator.url
    with Client(CLIENT, world.key, wait_interval=0.05, api_base_url=f"{url}/api/v1.2", token_url=f"{url}/c2id/token") as client:
        perlmutter = client.compute("perlmutter")
        job = perlmutter.submit_job(f"#!/bin/bash\n#SBATCH --job-name=tomo_x -o {world.folder}/%x.out\nsleep 0.3\n")
        (row,) = perlmutter.jobs(user="alsdev", jobids=[job.jobid])
        assert row.name == "tomo_x"
        assert job.complete() == "COMPLETED"
        (row,) = perlmutter.jobs(jobids=[job.jobid], command="sacct")
        assert (row.exitcode, row.jobname, row.user) == ("0:0", "tomo_x", "alsdev")


@real
def test_daemons_outlive_a_killed_simulator_and_are_stopped_by_id(tmp_path: Path) -> None:
    first, second = SlurmCluster(tmp_path, "sim"), SlurmCluster(tmp_path, "sim")
    first.start()
    try:
        second.start()  # as after kill -9 of the first simulator: nothing is started anew
        assert second._children == {}
        pids = [second._pid(name) for name in ("slurmctld", "slurmd")]
        for child in first._children.values():
            child.terminate()
            child.wait()
        assert not second.alive
        second.start()
        assert all(second._pid(name) not in (0, *pids) for name in ("slurmctld", "slurmd"))
    finally:
        second.stop()
        first.stop()
    assert not second.alive


@real
def test_a_daemon_that_cannot_start_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_CONFIG", slurm._CONFIG.replace("select/cons_tres", "select/nonsense"))

    with pytest.raises(ServiceUnreachable, match=r"did not start: .*nonsense"):
        SlurmCluster(tmp_path, "sim").start()


def test_missing_packages_are_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_PATH", str(tmp_path))

    with pytest.raises(ServiceUnreachable, match=r"slurmctld, slurmd, sbatch.* are not installed .*apt-get install"):
        SlurmCluster(tmp_path, "sim").start()
    with pytest.raises(ConfigError, match="There can be no real Slurm here: the programs"):
        SimulatorConfig(state_dir=tmp_path).on_slurm()


def test_the_command_line_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_PATH", str(tmp_path))

    result = CliRunner().invoke(app, ["simulate", "--slurm", "--state", str(tmp_path)])

    assert isinstance(result.exception, ConfigError)
    assert "There can be no real Slurm here" in result.exception.sentence


@real
def test_a_facility_is_set_up_and_served_on_slurm_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[SimulatorConfig] = []
    monkeypatch.setattr(server, "serve", served.append)

    result = CliRunner().invoke(app, ["simulate", "--slurm", "--state", str(tmp_path)])

    assert result.exit_code == 0, result.output
    (config,) = served
    assert config.sfapi.backend == "slurm" and {site.backend for site in config.iri.values()} == {"slurm"}
    (file,) = re.findall(r"ALS_FACILITY=(\S+)", result.output)
    assert load_facility(Path(file)).sites["nersc"].compute is not None
