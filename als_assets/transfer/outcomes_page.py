"""The operators' page about Globus' answers, drawn from the table that the code obeys.

Make it anew with ``python -m als_assets.transfer.outcomes_page docs/operators/transfer-outcomes.md``.
Here: the page's text. Not here: the rows (``globus_outcomes``); a test compares the page in ``docs/`` with this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from als_assets.transfer.globus_outcomes import OUTCOMES, Outcome, Says
from als_assets.transfer.globus_states import DAMAGE_FAULTS, SETTLE
from als_assets.words import duration_words

_HEAD = """# What Globus says, and what the platform does

This page is made from the table in `als_assets/transfer/globus_outcomes.py` that the code obeys; change the table, then run
`python -m als_assets.transfer.outcomes_page docs/operators/transfer-outcomes.md`.

A success counts only when the copy was compared with the manifest. Whatever is not in the table is never a success: an unheard-of
state is red, an unheard-of error of a running task is shown and followed until Globus ends the task. The settle time is {settle}; a file
that arrives damaged {faults} times ends its task. Rows marked *collection* count against the collection: see
[transfers](transfers.md#a-collection-rests).
"""
_TITLES = {
    Says.STATUS: ("The state of a task", "`status`"),
    Says.PAUSED: ("A pause", "`is_paused`"),
    Says.NICE: ("A task that is running", "`nice_status`, while `status` is ACTIVE"),
    Says.FATAL: ("A task that failed", "`fatal_error`, when `status` is FAILED"),
    Says.EVENT: ("Events of a task", "`event_list`"),
    Says.REQUEST: ("Answers to requests", "HTTP status and code"),
}


_COLUMNS = "| Globus says | staff read | what we do | what to do | counts against |\n| --- | --- | --- | --- | --- |"


def page() -> str:
    """The whole page."""
    parts = [_HEAD.format(settle=duration_words(SETTLE.total_seconds()), faults=DAMAGE_FAULTS)]
    for says, (title, field) in _TITLES.items():
        rows = "\n".join(_row(row) for row in OUTCOMES if row.says is says)
        parts.append(f"## {title}\n\n{field}\n\n{_COLUMNS}\n{rows}\n")
    return "\n".join(parts)


def _row(row: Outcome) -> str:
    return f"| {row.code} | {row.words} | {row.answer} | {row.next_step} | {'collection' if row.rests else ''} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
