"""Taking a job back: also one of which nobody knows yet whether the site ever took it.

Here: cancelling until the scheduler has let go, and what keeps a job from beginning whose submission was never answered. Not here:
who wants it cancelled (``defs.steps``, ``defs.health``).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from als_assets.compute.transport import Forestalls, Transport
from als_assets.errors import JobError, ServiceUnreachable
from als_assets.ledger import Ledger, Operation

# A cancelled job gets time to write its result before it is killed.
CANCEL_LIMIT_S = 60.0
# Where a job that may have been taken can only be seen once it has begun, it is looked for this long.
LOOK_FOR = timedelta(hours=6)


def cancel_job(ledger: Ledger, transport: Transport, operation: Operation) -> None:
    """Stop the job of an open operation, whether its number is known or not, and see that it has stopped.

    Raises:
        JobError: the site took the request, but the job goes on. ServiceUnreachable: the site cannot be asked, or may have taken the
        job and does not show it yet; come again. CredentialsRejected.
    """
    name, log_dir, asked = operation.request["name"], PurePosixPath(operation.request["log_dir"]), operation.handle.get("asked_at")
    job_id = operation.handle.get("job_id") or transport.find(name, log_dir)
    if job_id is None and asked and isinstance(transport, Forestalls):
        job_id = transport.forestall(name, log_dir)
    elif job_id is None and asked and ledger.clock() - datetime.fromisoformat(asked) < LOOK_FOR:
        raise ServiceUnreachable(
            f"Nobody knows yet whether the job {name} was taken: its submission was not answered, and the site does not show it.",
            next_step="It is looked for again by itself, and cancelled as soon as it shows up.",
        )
    if job_id is not None:
        cancel_surely(transport, job_id)


def cancel_surely(transport: Transport, job_id: str) -> None:
    """Cancel a job and look until the scheduler has let go of it. A job that it does not know any more is gone.

    Raises:
        JobError: it goes on. ServiceUnreachable, CredentialsRejected.
    """
    transport.cancel(job_id)
    end = time.monotonic() + CANCEL_LIMIT_S
    while (view := transport.look_many([job_id]).get(job_id)) is not None and view.live:
        if time.monotonic() > end:
            raise JobError(
                f"Job {job_id} was cancelled, but after {CANCEL_LIMIT_S:.0f} s it is still {view.state.lower()}.",
                next_step="It is cancelled again by itself; look at the site's queue.",
            )
        time.sleep(min(transport.poll_s, 1.0))
