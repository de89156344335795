"""Random histories: never fewer verified copies than required, unless the world itself destroyed them.

Here: how many are tried, and that the check can fail. Not here: what happens in one (``machine``). ``make test`` tries 1,000 steps, with
some dozens of deletions, CI 10,000 (``make histories``), and ``make soak`` 100,000.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import Histories, Record

STEPS = int(os.environ.get("ALS_SOAK_STEPS", "1000"))
A_HISTORY = 50


def effort(histories: int) -> settings:
    return settings(
        max_examples=histories,
        stateful_step_count=A_HISTORY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.generate],  # shrinking takes minutes; a history that was found is repeated by its seed
    )


@pytest.mark.timeout(0)
def test_every_history_keeps_the_promise(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The promise itself. Another seed each time: what is found is printed with the history that leads there."""

    class Counted(Histories):
        record = Record(tmp_path)

    while (done := Counted.steps - Counted.histories) < STEPS:  # the state before the first step is looked at too
        run_state_machine_as_test(Counted, settings=effort((STEPS - done) // A_HISTORY + 1))
    steps = Counted.steps - Counted.histories
    words = f"{steps} steps in {Counted.histories} histories: {Counted.deletions} deletions, {Counted.refusals} refused or called off"
    with capsys.disabled():
        print(f"\n{words}")
    assert steps >= STEPS and Counted.deletions > STEPS / 200 and Counted.refusals > STEPS / 1000
