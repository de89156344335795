"""What the service, the endpoints and the credentials may do to a job at ALCF, and what the platform makes of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alcf_shop import BATCH, SUBMIT, AlcfShop, alcf, request_of
from small_jobs import GOOD

from als_assets.compute.globus_compute import calls as globus_compute_calls
from als_assets.compute.globus_compute import transport as globus_compute
from als_assets.compute.globus_compute.client import ComputeClient
from als_assets.compute.globus_compute.notes import Notes
from als_assets.compute.globus_compute.transport import GlobusComputeTransport
from als_assets.errors import CredentialsRejected, JobFailed, JobRefused, SecretUnavailable, ServiceUnreachable, SiteNotReady
from als_assets.facility.compute import GlobusCompute
from als_assets.facility.identities import GlobusIdentity
from als_assets.facility.secrets import SecretRef
from als_assets.ledger import OperationState
from als_assets.simulator.box_alcf import LOGIN, POLARIS

__all__ = ["alcf"]


@pytest.fixture
def another(alcf: AlcfShop, tmp_path: Path) -> Iterator[Callable[..., GlobusComputeTransport]]:
    """Transports of their own, which remember nothing: ``another(secret=..., url=..., **changes of the site's entry)``."""
    made: list[GlobusComputeTransport] = []

    def make(secret: str = "", url: str = "", **changes: Any) -> GlobusComputeTransport:
        facility = alcf.bench.platform.facility
        identity, setup = facility.identities["alcf_jobs"], facility.sites["alcf"].compute
        assert isinstance(identity, GlobusIdentity) and isinstance(setup, GlobusCompute)
        if secret:
            file = tmp_path / "secret"
            file.touch(mode=0o600)
            file.write_text(secret)
            identity = identity.model_copy(update={"client_secret": SecretRef(file=file)})
        client = ComputeClient(url or facility.globus.compute_url, facility.globus.auth_url, "alcf_jobs", identity)
        setup = GlobusCompute.model_validate({**setup.model_dump(), **changes})
        made.append(GlobusComputeTransport("ALCF", setup, client, Notes(tmp_path / "notes"), []))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


# --- jobs that end in other ways --------------------------------------------------------------------------------------------


def test_a_node_that_is_lost(alcf: AlcfShop) -> None:
    def wait(_seconds: float) -> None:
        if alcf.runs() and not alcf.bench.control.faults():
            alcf.fault("lose_worker")
        time.sleep(0.03)

    with pytest.raises(JobFailed, match="was stopped because its node failed") as caught:
        alcf.do("for i in {1..600}; do sleep 0.1; done", alcf.bench.actor(wait=wait))

    report: Any = caught.value.details["report"]
    assert (report["reason"], report["site_fault"]) == ("node_fail", True)
    assert alcf.do().attempt == 2 and alcf.runs() == 2, "a retry is a new job"


def test_a_block_that_was_never_started_says_why_in_the_report(alcf: AlcfShop) -> None:
    words = "Traceback\nparsl.jobs.errors.ScaleOutFailed: qsub: Request rejected: allocation IRIProd is exhausted"
    alcf.fault("fail", message=words)

    with pytest.raises(JobFailed, match="could not be started by the site") as caught:
        alcf.do()

    report: Any = caught.value.details["report"]
    assert report["stderr_tail"].endswith("allocation IRIProd is exhausted") and report["stdout_tail"] == ""
    assert (report["reason"], alcf.runs(), alcf.tasks("tail")) == ("launch", 0, []), "there are no files to ask for"


def test_a_result_that_expired_is_read_from_the_site(alcf: AlcfShop) -> None:
    alcf.fault("expire")

    assert alcf.do().state is OperationState.SUCCEEDED
    assert "result" not in alcf.tasks()[0]


def test_a_word_that_nobody_knows_is_red(alcf: AlcfShop) -> None:
    fault = alcf.fault("state", state="gremlins")

    with pytest.raises(JobFailed, match=r"not known here \('GREMLINS'\)"):
        alcf.do()

    alcf.bench.control.clear_fault(fault)


# --- the service ------------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_is_offline_gets_no_job(alcf: AlcfShop) -> None:
    alcf.bench.control.set_endpoint(POLARIS, "offline")

    with pytest.raises(JobRefused, match=r"endpoint of ALCF \(simulated\) is offline; no job was sent") as caught:
        alcf.do()

    assert caught.value.details["site_fault"] is True, "another site is tried"
    assert alcf.tasks() == []
    health = alcf.alcf.health()
    assert not health.ok and "takes no jobs: its Globus Compute endpoint is offline" in health.sentence
    alcf.bench.control.set_endpoint(POLARIS, "online")
    assert alcf.alcf.health().ok


def test_an_endpoint_that_goes_offline_while_the_job_waits(alcf: AlcfShop) -> None:
    hold = alcf.fault("hold")
    _, job_id = alcf.submit()
    alcf.bench.control.set_endpoint(POLARIS, "offline")
    alcf.bench.control.clear_fault(hold)

    alcf.bench.control.wait_for(lambda: alcf.view(job_id).nodes == "(waiting for the endpoint)", what="the word")
    assert alcf.view(job_id).live
    alcf.bench.control.set_endpoint(POLARIS, "online")
    assert alcf.ended(job_id).state == "COMPLETED"


REFUSALS = [
    (422, "Identity failed to map to a local user name. (LookupError) Globus username: x", "map the Globus identity 'alcf_jobs'"),
    (403, "ENDPOINT_ACCESS_FORBIDDEN", "Check endpoint, account and queue"),
    (404, "Endpoint could not be resolved", "Check endpoint, account and queue"),
]


@pytest.mark.parametrize(("status", "words", "step"), REFUSALS, ids=[str(status) for status, *_ in REFUSALS])
def test_a_refusal_is_told_in_the_services_words(alcf: AlcfShop, status: int, words: str, step: str) -> None:
    alcf.bench.control.add_fault(where="http", method="POST", path=SUBMIT, status=status, message=words)

    with pytest.raises(JobRefused, match=rf"refused while submitting als-test.* to ALCF .*{words[:30]}") as caught:
        alcf.do()

    assert step in caught.value.next_step and caught.value.details["site_fault"] is True
    assert alcf.operation.state is OperationState.FAILED


@pytest.mark.parametrize("status", [409, 429])
def test_not_now_is_known_to_have_started_nothing(alcf: AlcfShop, status: int) -> None:
    alcf.bench.control.add_fault(where="http", method="POST", path=SUBMIT, status=status)

    with pytest.raises(ServiceUnreachable, match=f"answered {status} while submitting") as caught:
        alcf.submit()

    assert caught.value.details == {"nothing_sent": True}


@pytest.mark.parametrize(
    "storm", [{"status": 503}, {"status": "drop"}, {"status": 200, "body": "<html>"}, {"status": 200, "body": {"results": [1]}}], ids=str
)
def test_a_storm_is_waited_out_and_says_nothing_about_the_job(alcf: AlcfShop, storm: dict[str, Any]) -> None:
    _, job_id = alcf.submit()
    alcf.bench.control.add_fault(where="http", path=BATCH, times=3, **storm)

    with pytest.raises(ServiceUnreachable, match="Globus Compute"):
        for _ in range(3):
            alcf.view(job_id)
    alcf.bench.control.clear_faults()

    assert alcf.ended(job_id).state == "COMPLETED"


def test_a_request_for_an_endpoint_that_does_not_exist_is_no_refusal_of_a_job(another: Callable[..., GlobusComputeTransport]) -> None:
    with pytest.raises(ServiceUnreachable, match="answered 404 while asking for the endpoint"):
        another(endpoint="00000000-0000-4000-8000-000000000000").health()


def test_a_small_call_that_is_not_answered_in_time_is_waited_for_and_not_sent_again(
    alcf: AlcfShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = alcf.fault("hold", verb="listing")
    monkeypatch.setattr(globus_compute, "_CALL_PATIENCE_S", 0.1)
    for _ in range(2):
        with pytest.raises(ServiceUnreachable, match=r"could not be asked: no answer to 'listing' within 0 s"):
            alcf.transport.listing(alcf.log_dir / alcf.key)
    alcf.bench.control.clear_fault(fault)
    monkeypatch.setattr(globus_compute, "_CALL_PATIENCE_S", 60.0)

    assert alcf.transport.listing(alcf.log_dir / alcf.key) is None

    assert len(alcf.tasks("listing")) == 1


def test_a_small_call_that_failed_is_an_outage(alcf: AlcfShop) -> None:
    alcf.fault("fail", verb="tail", message="Traceback\nOSError: eagle is not mounted")

    with pytest.raises(ServiceUnreachable, match="could not be asked: OSError: eagle is not mounted"):
        alcf.transport.tail(alcf.log_dir / alcf.key, 1)


# --- the function and the check of the site -----------------------------------------------------------------------------------


def test_the_function_is_registered_once_for_all_processes(alcf: AlcfShop, another: Callable[..., GlobusComputeTransport]) -> None:
    first = another()._site.id

    second = another()._site.id

    assert first == second
    assert len(alcf.bench.control.requests("GET", f"/v2/functions/{first}")) == 1, "the service was asked whether it is there"


def test_a_function_that_the_service_forgot_is_registered_again(alcf: AlcfShop, another: Callable[..., GlobusComputeTransport]) -> None:
    first = another()._site.id
    alcf.bench.control.add_fault(where="http", path=f"/v2/functions/{first}", status=404)

    assert another()._site.id != first


def test_other_text_is_another_function(another: Callable[..., GlobusComputeTransport], monkeypatch: pytest.MonkeyPatch) -> None:
    first, text = another()._site.id, globus_compute_calls.source()
    monkeypatch.setattr(globus_compute_calls, "source", lambda: text + "# one line more\n")

    assert another()._site.id != first


def test_a_site_is_checked_before_the_first_job_of_a_shift(alcf: AlcfShop, another: Callable[..., GlobusComputeTransport]) -> None:
    def hellos() -> int:
        return sum(request_of(task)["verb"] == "hello" for task in alcf.bench.control.compute_tasks())

    before, where = hellos(), alcf.alcf._nodes({})
    another()._check(where)
    another()._check(where)
    assert hellos() == before + 1, "a good answer holds for all processes"
    another(check_hours=1e-9)._check(where)
    assert hellos() == before + 2, "for a while"
    another(modules=["json"])._check(where)
    assert hellos() == before + 3, "and for the site as it was"


def test_a_site_that_lacks_something_gets_no_job(alcf: AlcfShop, another: Callable[..., GlobusComputeTransport]) -> None:
    transport = another(modules=["als_recon_832"])
    spec = alcf.spec()

    with pytest.raises(SiteNotReady, match=r"^ALCF is not ready for jobs: .* cannot import als_recon_832\.$") as caught:
        transport.submit(spec.name, transport.script(spec), spec.log_dir)

    assert "worker_init" in caught.value.next_step and alcf.tasks() == []


def test_a_site_whose_nodes_never_come_is_not_waited_for_for_ever(
    alcf: AlcfShop, another: Callable[..., GlobusComputeTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(globus_compute, "_CHECK_PATIENCE_S", 0.1)
    alcf.bench.control.add_fault(where="task", name='*"hello"*', action="hold")

    with pytest.raises(SiteNotReady, match="no answer to 'hello' within 0 s"):
        another()._check(alcf.alcf._nodes({}))


# --- the identity ---------------------------------------------------------------------------------------------------------------


def test_a_token_that_ran_out_is_renewed_without_a_word(alcf: AlcfShop) -> None:
    alcf.alcf.health()
    alcf.bench.control.expire_tokens("globus")

    assert alcf.do("true; " + GOOD).state is OperationState.SUCCEEDED


def test_a_wrong_secret_is_told_without_the_secret(another: Callable[..., GlobusComputeTransport]) -> None:
    wrong = "".join(["not", "-the-", "secret"])
    with pytest.raises(CredentialsRejected, match="the identity 'alcf_jobs' while logging in for asking for the endpoint") as caught:
        another(secret=wrong).health()

    everything = "".join(traceback.format_exception(caught.value)) + str(caught.value.details)
    assert wrong not in everything and "Put a valid secret into file" in caught.value.next_step


def test_a_refused_token_names_the_identity(alcf: AlcfShop) -> None:
    alcf.bench.control.add_fault(where="http", path=BATCH, status=401, times=None)

    with pytest.raises(CredentialsRejected, match="refused the token of the identity 'alcf_jobs'"):
        alcf.view(f"{alcf.log_dir}/never/{'0' * 8}-0000-4000-8000-{'0' * 12}")


def test_a_port_where_nobody_listens_is_an_outage(another: Callable[..., GlobusComputeTransport]) -> None:
    with pytest.raises(ServiceUnreachable, match="Globus Compute did not answer while asking for the endpoint"):
        another(url="http://127.0.0.1:1").health()


def test_an_endpoint_may_be_named_by_a_variable(
    alcf: AlcfShop, another: Callable[..., GlobusComputeTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = another(endpoint={"env": "ALS_TEST_ENDPOINT"})
    with pytest.raises(SecretUnavailable):
        transport.health()

    monkeypatch.setenv("ALS_TEST_ENDPOINT", LOGIN)

    assert transport.health().ok
    assert repr(transport._client) == "ComputeClient(alcf_jobs)"
