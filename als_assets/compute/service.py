"""``ensure_product``: after it returns, a product of a scan exists at a site, complete, with the parameters that made it.

Here: the jobs of 8.3.2 (reconstruction, multi-resolution) as specs, and their proof. Not here: staging the raw file (``transfer``) and
choosing the site (``routing``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from als_assets.compute.act import JobAct, OutputCheck
from als_assets.compute.cancelling import cancel_job
from als_assets.compute.history import past_of
from als_assets.compute.script import image_reference, recon_argv
from als_assets.compute.spec import JobSpec, StageIn, Step
from als_assets.compute.staging import Staging
from als_assets.compute.transport import Transport
from als_assets.compute.walltime import walltime_s
from als_assets.errors import BadOutput, JobError, ServiceUnreachable, SiteNotReady
from als_assets.facility import ExportGate, Facility, not_set_up
from als_assets.facility.compute import Compute
from als_assets.facility.places import Place
from als_assets.ledger import Dataset, Entry, Ledger, Manifest, Operation, Replica, ReplicaState
from als_assets.ledger.acting import Actor, carry_out
from als_assets.ledger.products import TIFF, ZARR


@dataclass(frozen=True)
class ProductReceipt:
    """Proof that a product exists at a site. ``made`` is False when it was there already and was looked at again."""

    replica: Replica
    made: bool
    site: str
    report: Mapping[str, Any] = field(default_factory=dict)


def variant_of(overrides: Mapping[str, Any]) -> str:
    """ "" for the standard parameters, else a digest of what differs: results with other parameters never overwrite each other."""
    if not overrides:
        return ""
    return hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()[:8]


class ComputeService:
    """Products of scans, made by jobs at sites, on record and with proof."""

    def __init__(self, facility: Facility, ledger: Ledger, gate: ExportGate, transports: Mapping[str, Transport]) -> None:
        self._facility = facility
        self._ledger = ledger
        self._gate = gate
        self._transports = transports

    def setup(self, site: str) -> Compute:
        """How the site runs jobs. Raises JobError: it runs none; SiteNotReady: its entry still has words to fill in."""
        compute = self._facility.sites[site].compute if site in self._facility.sites else None
        if compute is None or site not in self._transports:
            known = ", ".join(sorted(self._transports))
            raise JobError(f"The site '{site}' cannot run jobs.", next_step=f"Choose one of: {known}.", site=site)
        blanks = not_set_up(self._facility, site)
        if blanks:
            raise SiteNotReady(
                f"{blanks}.", next_step="Choose another site. An operator fills it in and checks it with: als config check", site=site
            )
        return compute

    def product_path(self, dataset: Dataset, product: str, variant: str) -> str:
        """Where a product lies below its location: ``<folder>[/<variant>]/rec<key>[.zarr]``."""
        name = f"rec{dataset.key}" + (".zarr" if product == ZARR else "")
        return "/".join(part for part in (dataset.folder, variant, name) if part)

    def reconstruct(
        self, actor: Actor, dataset: Dataset, site: str, overrides: Mapping[str, Any], standard: Mapping[str, Any]
    ) -> ProductReceipt:
        """A stack of TIFF slices of a scan. ``standard`` holds for every scan, ``overrides`` for this request.

        Raises:
            ExportRefused, JobError (``report`` in its details tells all), ServiceUnreachable.
        """
        setup = self.setup(site)
        raw = self._raw_on_site(dataset, setup)
        output = Place(setup.scratch, self._facility.location(setup.scratch), self.product_path(dataset, TIFF, variant_of(overrides)))
        parameters = json.dumps({**standard, **overrides}, sort_keys=True)
        log_dir = PurePosixPath(setup.log_dir)
        name = _job_name("rec", dataset.key)
        params_path = log_dir / f"{name}.parameters.yaml"
        arguments = ["reconstruct", str(raw), "--output", str(output.site_path.parent), "--name", dataset.key, "--params", str(params_path)]
        spec = self._spec(name, dataset, site, setup, "reconstruct", arguments, output.site_path, parameters, raw)
        rows = int(dataset.facts.get("rows") or 0)
        return self._ensure(actor, dataset, TIFF, variant_of(overrides), output, spec, _tiff_check(rows))

    def multires(self, actor: Actor, dataset: Dataset, stack: Replica) -> ProductReceipt:
        """The multi-resolution Zarr of a verified TIFF stack, made where the stack lies."""
        site = self._facility.site_of(stack.location)
        setup = self.setup(site)
        output = Place(setup.scratch, self._facility.location(setup.scratch), self.product_path(dataset, ZARR, stack.variant))
        source = Place(stack.location, self._facility.location(stack.location), stack.path).site_path
        raw = self._raw_on_site(dataset, setup)
        arguments = ["multires", str(source), "--raw", str(raw), "--output", str(output.site_path)]
        name = _job_name("zarr", dataset.key)
        spec = self._spec(name, dataset, site, setup, "multires", arguments, output.site_path, "", raw)
        return self._ensure(actor, dataset, ZARR, stack.variant, output, spec, _zarr_check)

    def _raw_on_site(self, dataset: Dataset, setup: Compute) -> PurePosixPath:
        name = setup.scratch_raw or setup.raw
        return Place(name, self._facility.location(name), dataset.raw_path).site_path

    def _spec(
        self,
        name: str,
        dataset: Dataset,
        site: str,
        setup: Compute,
        step: str,
        arguments: list[str],
        output: PurePosixPath,
        parameters: str,
        raw: PurePosixPath,
    ) -> JobSpec:
        mounts = sorted({output.parent, raw.parent, PurePosixPath(setup.log_dir)})
        stage_in = None
        if setup.scratch_raw is not None:
            source = Place(setup.raw, self._facility.location(setup.raw), dataset.raw_path).site_path
            stage_in = StageIn(source, raw, dataset.size_bytes)
        what = {"reconstruct": "The reconstruction", "multires": "The multi-resolution volume"}[step]
        return JobSpec(
            name=name,
            dataset_key=dataset.key,
            title=f"{what} of {dataset.key}",
            site=site,
            steps=(Step(step, recon_argv(arguments, setup.container, self._facility.images, mounts)),),
            output=output,
            log_dir=PurePosixPath(setup.log_dir),
            walltime_s=self._walltime_s(site, setup, step, dataset),
            stage_in=stage_in,
            parameters=parameters,
            environment=tuple(sorted(setup.environment.items())),
            image=image_reference(setup.container, self._facility.images),
            size_bytes=dataset.size_bytes,
        )

    def _walltime_s(self, site: str, setup: Compute, step: str, dataset: Dataset) -> int:
        history = past_of(self._ledger, site, step)
        return walltime_s(dataset.size_bytes, history, standard_s=setup.walltime_s, most_s=setup.walltime_max_s)

    def _staging(self, dataset: Dataset, site: str) -> Staging | None:
        setup = self.setup(site)
        if setup.scratch_raw is None:
            return None
        place = Place(setup.scratch_raw, self._facility.location(setup.scratch_raw), dataset.raw_path)
        return Staging(self._ledger, self._transports[site], dataset, place)

    def _ensure(
        self, actor: Actor, dataset: Dataset, product: str, variant: str, output: Place, spec: JobSpec, check: OutputCheck
    ) -> ProductReceipt:
        self._gate.require(dataset.key, spec.site)
        target = self._ledger.replicas.expect(dataset.key, product, output.location_name, output.path, variant)
        transport = self._transports[spec.site]
        if target.state is ReplicaState.VERIFIED and self._unchanged(target, transport, output):
            return ProductReceipt(target, False, spec.site, target.evidence.get("report", {}))
        self._ledger.replicas.move(target.id, ReplicaState.COPYING, why=f"a job at {spec.site} makes it")
        key = f"job:{output.location_name}:{output.path}"
        title = self._facility.sites[spec.site].title
        act = JobAct(self._ledger, self._gate, transport, spec, title, check, key, dataset.key, target.id)
        staging = self._staging(dataset, spec.site)
        staged = None if staging is None else staging.expect(actor)
        try:
            # Since the look at the product, not since the move: another run may have made it in between, and once is enough.
            operation = carry_out(self._ledger, actor, act, after=target.after_operation)
            found = self._whole(target, transport, output, check)
        except JobError as error:
            self._ledger.replicas.move(target.id, ReplicaState.EXPECTED, why=error.sentence)
            if staging is not None and staged is not None:
                with contextlib.suppress(ServiceUnreachable):  # then it stays COPYING: the next job settles it
                    staging.settle(staged)
            raise
        if staging is not None and staged is not None:
            staging.settle(staged)
        return self._verified(target, found, operation)

    def _unchanged(self, target: Replica, transport: Transport, output: Place) -> bool:
        found = transport.listing(output.site_path)
        wrong = ["nothing is there"] if found is None else (target.manifest or Manifest.of([])).differences(found)
        if wrong:
            self._ledger.replicas.move(target.id, ReplicaState.SUSPECT, why=f"looked again: {'; '.join(wrong)}")
        return not wrong

    def _whole(self, target: Replica, transport: Transport, output: Place, check: OutputCheck) -> dict[str, int]:
        """The files of the product. Looked at now: the process that saw the job end may have died days ago, and scratch is purged."""
        found = transport.listing(output.site_path)
        wrong = check(found)
        if found is None or wrong:
            raise BadOutput(
                f"The {target.name} was there when its job ended, and is not whole any more ({'; '.join(wrong[:3])}).",
                next_step="Re-execute from failure: it is made again.",
            )
        return found

    def _verified(self, target: Replica, found: dict[str, int], operation: Operation) -> ProductReceipt:
        manifest = Manifest.of(Entry(path, size) for path, size in found.items())
        report = operation.outcome["report"]
        short = {k: v for k, v in report.items() if k not in ("stdout_tail", "stderr_tail", "script")}
        evidence = {
            "report": short,
            "parameters": operation.request["parameters"],
            "witnesses": "scheduler state, exit codes, the script's result, and the listing of the output agree",
        }
        replica = self._ledger.replicas.verified(target.id, manifest, why=report["sentence"], evidence=evidence)
        return ProductReceipt(replica, True, operation.request["site"], report)

    def cancel(self, operation: Operation) -> None:
        """Stop the job of an open operation and see that it has stopped. Raises as ``cancel_job``."""
        self._ledger.operations.annotate(operation, cancelled_by_us=True)
        cancel_job(self._ledger, self._transports[operation.request["site"]], operation)


def _job_name(kind: str, dataset_key: str) -> str:
    """Unique, and telling for whoever reads the scheduler's queue."""
    return f"als-{kind}-{dataset_key[:40]}-{uuid.uuid4().hex[:12]}"


def _tiff_check(rows: int) -> OutputCheck:
    def check(found: dict[str, int] | None) -> list[str]:
        if found is None:
            return ["the folder is missing"]
        slices = sum(1 for name in found if name.endswith(".tiff"))
        wrong = [] if slices == rows else [f"{slices} slices instead of {rows}"]
        wrong += [] if "parameters.json" in found else ["parameters.json is missing"]
        return wrong + [f"{name} is empty" for name, size in found.items() if size == 0][:3]

    return check


def _zarr_check(found: dict[str, int] | None) -> list[str]:
    if not found:
        return ["the Zarr store is missing"]
    return [] if ".zattrs" in found or "zarr.json" in found else ["its metadata is missing"]
