"""Progress lines: at most one a second, always the last, with rate and time left.

Here: promises of progress.py under a clock of our own. What belongs here is counting. Not here: terminals.
"""

from __future__ import annotations

from als_assets.recon.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_rare_and_the_last_one_always_comes() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = Progress(lines.append, "slices", 100, clock=clock)
    for _ in range(100):
        clock.now += 0.1
        progress.advance(1)
    assert len(lines) <= 11
    assert lines[-1] == "slices 100/100, 100.0 ms each, about 0 s left"


def test_rate_and_time_left_leave_out_what_was_done_before() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = Progress(lines.append, "slices", 100, done_before=80, clock=clock)
    clock.now = 5.0
    progress.advance(10)
    assert lines == ["slices 90/100, 500.0 ms each, about 5 s left"]
