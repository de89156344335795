"""Small jobs of one bash step each, carried out as real ones are, and the count of what they really did.

Here: makers and looks. Not here: assertions. ``do_job`` is also what the processes of ``doomed`` do.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from als_assets.compute.act import JobAct
from als_assets.compute.spec import JobSpec, Step
from als_assets.ledger.acting import carry_out

if TYPE_CHECKING:
    from facility_in_a_box import Bench

    from als_assets.compute.transport import Transport
    from als_assets.ledger import Operation

POLL_S = 0.08  # how often a site is asked, whatever the facility says
GOOD = "echo started >&2; echo working; echo done > done.txt"


def _check(found: dict[str, int] | None) -> list[str]:
    if found is None:
        return ["the folder is missing"]
    return [] if "done.txt" in found else ["done.txt is missing"]


def spec_of(site: str, name: str, key: str, script: str, output: str, log_dir: str, **changes: Any) -> JobSpec:
    """A job whose only step runs ``script`` in its output folder, where it first leaves a line in ``runs``."""
    body = f'mkdir -p "$0"; cd "$0"; echo "$$" >> runs; {script}'
    fields: dict[str, Any] = {
        "name": name,
        "dataset_key": key,
        "title": f"The work on {key}",
        "site": site,
        "steps": (Step("work", ("bash", "-euc", body, output)),),
        "output": PurePosixPath(output),
        "log_dir": PurePosixPath(log_dir),
        "walltime_s": 300,
    }
    return JobSpec(**{**fields, **changes})


def act_of(platform: Any, spec: JobSpec, key: str, poll_s: float = POLL_S) -> JobAct:
    transport = platform.compute._transports[spec.site]
    transport.poll_s = poll_s
    title = platform.facility.sites[spec.site].title
    return JobAct(platform.ledger, platform.gate, transport, spec, title, _check, key, spec.dataset_key, None)


def do_job(
    platform: Any,
    actor: Any,
    *,
    site: str,
    name: str,
    key: str,
    script: str,
    output: str,
    log_dir: str,
    poll_s: float = POLL_S,
    **changes: Any,
) -> Operation:
    spec = spec_of(site, name, key, script, output, log_dir, **changes)
    act = act_of(platform, spec, f"job:{output}", poll_s)
    return carry_out(platform.ledger, actor, act, after=0)


@dataclass
class Shop:
    """One site's jobs about one scan of the test's own."""

    bench: Bench
    site: str
    key: str
    output: Path
    log_dir: Path
    poll_s: float = POLL_S

    @property
    def transport(self) -> Transport:
        return self.bench.platform.compute._transports[self.site]

    def arguments(self, script: str = GOOD) -> dict[str, Any]:
        """What a process of its own needs to do this work. Every attempt has a name of its own, as in production."""
        where = {"output": str(self.output), "log_dir": str(self.log_dir)}
        name = f"als-test-{self.key}-{uuid.uuid4().hex[:8]}"
        return {"site": self.site, "name": name, "key": self.key, "script": script, "poll_s": self.poll_s, **where}

    @property
    def names(self) -> str:
        """Glob of the names of all its jobs."""
        return f"*{self.key}*"

    def jobs(self) -> list[dict[str, Any]]:
        """All its jobs at the simulated scheduler."""
        return [job for job in self.bench.control.jobs() if self.key in job["name"]]

    def do(self, script: str = GOOD, actor: Any = None, **changes: Any) -> Operation:
        return do_job(self.bench.platform, actor or self.bench.actor(), **self.arguments(script), **changes)

    def spec(self, script: str = GOOD, **changes: Any) -> JobSpec:
        arguments = self.arguments(script)
        del arguments["poll_s"]
        return spec_of(**arguments, **changes)

    def act(self, key: str) -> JobAct:
        return act_of(self.bench.platform, self.spec(), key)

    def submit(self, script: str = GOOD, **changes: Any) -> tuple[str, str]:
        """Hand a job over without any record; its name and id."""
        spec = self.spec(script, **changes)
        return spec.name, self.transport.submit(spec.name, self.transport.script(spec), spec.log_dir)

    def find(self, name: str) -> str | None:
        return self.transport.find(name, PurePosixPath(self.log_dir))

    def view(self, job_id: str) -> Any:
        return self.transport.look_many([job_id]).get(job_id)

    def ended(self, job_id: str) -> Any:
        """The scheduler's last word."""
        return self.bench.control.wait_for(lambda: (v := self.view(job_id)) is not None and not v.live and v, what="the end of the job")

    @property
    def operation(self) -> Operation:
        return self.bench.ledger.operations.of(self.key)[0]

    def log(self, ending: str) -> Path:
        """A file of the newest attempt."""
        return self.log_dir / f"{self.operation.request['name']}.{ending}"

    def runs(self) -> int:
        """How often the step really ran, by what it left on disk."""
        file = self.output / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def wait_until_running(self) -> None:
        self.bench.control.wait_for(self.runs, what="the start of the step")


def shop_at(bench: Bench, site: str) -> Shop:
    scan = bench.admit()
    log_dir = Path(bench.platform.facility.sites[site].compute.log_dir)
    scratch = bench.platform.facility.location(bench.platform.facility.sites[site].compute.scratch)
    return Shop(bench, site, scan.key, Path(scratch.site_root) / "tests" / scan.key, log_dir)
