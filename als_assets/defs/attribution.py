"""Who launched a run: the person whom the login proxy names in a header of the request, kept as a tag of the run and in the audit.

Here: Dagster's own queue with that one addition (https://docs.dagster.io/guides/operate/run-executors/run-attribution). Not here: the
login; only a proxy that removes the header from what browsers send makes it worth anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._serdes import ConfigurableClassData

WHO = "als/who"
HEADER = "X-Forwarded-User"
_LONGEST = 200


class AttributedRuns(QueuedRunCoordinator):
    """The queue. ``header`` (in ``dagster.yaml``) is what the proxy writes the person's name into."""

    def __init__(self, header: str = HEADER, **queue: Any) -> None:
        self._header = header
        super().__init__(**queue)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        queue: Any = super().config_type()
        return {**queue, "header": dg.Field(dg.StringSource, is_required=False, default_value=HEADER)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        person = context.get_request_header(self._header)
        if person:
            self._instance.add_run_tags(context.dagster_run.run_id, {WHO: person[:_LONGEST]})
        return super().submit_run(context)


def who_launched(run: dg.DagsterRun) -> str | None:
    """The person and the run, for the audit; None where no person is known: then the platform itself signs."""
    person = run.tags.get(WHO)
    return f"{person} (run {run.run_id})" if person else None
