"""What every step does around its work: says who acts, turns errors into words that staff see, and obeys Terminate.

Here: the context manager ``working``. Not here: the work. Two rules live here. A failed step leaves an observation with the sentence,
the next step and the link before it raises, because Dagster's partition page shows only *that* a run failed. And remote work is
cancelled only when a person pressed Terminate (status CANCELING), never because a process, server or host stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from als_assets.defs.attribution import who_launched
from als_assets.defs.evidence import failure_metadata
from als_assets.errors import AlsError, CollectionResting, LeaseLost
from als_assets.ledger.acting import Actor
from als_assets.ledger.states import OperationState
from als_assets.ledger.workers import Life
from als_assets.platform import Platform

HEARTBEAT_S = 10.0
# A collection rests an hour at most, so a step comes again for about a day before it is red.
RESTING_RETRIES = 30


@contextmanager
def working(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[Actor]:
    """The actor of this step. Raises dg.Failure for every AlsError inside, which is never retried by itself; dg.RetryRequested while a
    collection rests."""
    key = context.partition_key
    run_id = context.run.run_id
    ledger = platform.ledger
    ledger.workers.register(run_id, key)
    ledger.datasets.mark_started(key, run_id)
    who = who_launched(context.run)
    actor = Actor(
        run_id,
        lambda other: may_take_over(context.instance, platform, other),
        tell=context.log.info,
        observe=lambda facts: _observe(context, facts),
    )
    try:
        with _heartbeat(platform, run_id), ledger.audit.signed_by(who):
            yield actor
    except LeaseLost as lost:
        context.log.warning(f"{lost.sentence} This process leaves.")
        raise dg.Failure(lost.sentence, allow_retries=False) from lost
    except CollectionResting as resting:
        failure = _told(context, platform, resting)
        # The step gives its place in the pool back and comes again by itself; its work is an intent on record.
        raise dg.RetryRequested(RESTING_RETRIES, float(str(resting.details["retry_s"]))) from failure
    except AlsError as error:
        raise _told(context, platform, error) from error
    except DagsterExecutionInterruptedError:
        run = context.instance.get_run_by_id(run_id)
        if run is not None and run.status is dg.DagsterRunStatus.CANCELING:
            _cancel_or_leave(context, platform)
        raise


def may_take_over(instance: dg.DagsterInstance, platform: Platform, other_run: str) -> bool:
    """Whether another run is provably out of the way: its process is gone, or Dagster calls it finished (then its process is an
    orphan, and the fencing number keeps it from touching anything)."""
    life = platform.ledger.workers.life_of(other_run)
    if life is Life.GONE:
        return True
    run = instance.get_run_by_id(other_run)
    # A worker that lives and is no run of Dagster's is a sensor or the command line.
    return life is Life.UNKNOWN if run is None else run.is_finished


def _cancel_or_leave(context: dg.AssetExecutionContext, platform: Platform) -> None:
    """Tell what cannot be cancelled now, instead of failing on the way out: the sensor ``reaper`` goes on with it."""
    try:
        cancel_work_of(platform, context.run.run_id, context.log.info)
    except AlsError as error:
        context.log.warning(f"Not cancelled yet: {error.sentence} The sensor 'reaper' goes on with it.")


def cancel_work_of(platform: Platform, run_id: str, tell: Callable[[str], object]) -> None:
    """Cancel the remote work of a run that a person terminated, and close its operations.

    Raises:
        AlsError: the first reason why something could not be cancelled now; everything else was.
    """
    errors: list[AlsError] = []
    sentence = f"Cancelled because a person terminated run {run_id}."
    for operation in platform.ledger.operations.open_ones():
        if operation.holder != run_id:
            continue
        try:
            platform.cancel(operation)
        except AlsError as error:
            errors.append(error)
            continue
        platform.ledger.operations.finish(operation, OperationState.CANCELLED, why=sentence, outcome={"sentence": sentence})
        tell(f"{operation.key}: {sentence}")
    if errors:
        raise errors[0]


def _observe(context: dg.AssetExecutionContext, facts: Mapping[str, Any]) -> None:
    """Progress as numbers, on the asset's page and for its plots."""
    context.log_event(dg.AssetObservation(context.asset_key, partition=context.partition_key, description="progress", metadata=facts))


def _told(context: dg.AssetExecutionContext, platform: Platform, error: AlsError) -> dg.Failure:
    metadata = failure_metadata(platform.facility, context.partition_key, error)
    words = f"{error.sentence} {error.next_step}"
    context.log_event(dg.AssetObservation(context.asset_key, partition=context.partition_key, description=words, metadata=metadata))
    asset = context.asset_key.path[-1]
    platform.ledger.audit.note(
        f"step {asset} of {context.partition_key}",
        why=error.sentence,
        dataset_key=context.partition_key,
        evidence={"next_step": error.next_step, "page": error.page, "run_id": context.run.run_id},
    )
    return dg.Failure(f"{error.sentence}\nNext step: {error.next_step}", metadata=metadata, allow_retries=False)


@contextmanager
def _heartbeat(platform: Platform, run_id: str) -> Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_S):
            platform.ledger.workers.beat(run_id)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
