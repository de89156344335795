"""Failures that a step noted itself: those that no operation could record, and how they stand beside operations and later success."""

from __future__ import annotations

import os
from collections.abc import Callable

from board_pages import Browser
from board_story import Clock, Story

from als_assets.facility import Facility
from als_assets.ledger import Ledger, OperationKind, OperationState

Tell = Callable[..., Story]


def test_a_noted_failure_without_any_operation_is_seen(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.noted("preview", "The preview failed (exit code 16): the flat fields hold no light.", "Look at the raw file.")
    state, words = browser.step(story.key, "preview")
    assert state == "failed" and "the flat fields hold no light" in words
    trouble = browser.page(f"/scan/{story.key}").one("section", cls="trouble").text
    assert "Look at the raw file." in trouble and "Help page: service-unreachable." in trouble


def test_a_noted_failure_wins_over_the_operation_it_left_open(browser: Browser, tell: Tell, clock: Clock) -> None:
    story = tell()
    story.started(alive=True)
    story.copied("data832_raw")
    story.open(OperationKind.CATALOGUE, None, "catalogue:als/1", submitted=False)
    assert browser.step(story.key, "scicat_record")[0] == "going on"
    clock.pass_(seconds=5)
    story.noted("scicat_record", "SciCat answered 500.", "Re-execute from failure.")
    state, words = browser.step(story.key, "scicat_record")
    assert state == "failed" and "SciCat answered 500." in words


def test_the_next_run_takes_a_noted_failure_up_again(browser: Browser, tell: Tell, ledger: Ledger, clock: Clock) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    operation = story.open(OperationKind.CATALOGUE, None, "catalogue:als/1", submitted=False)
    story.noted("scicat_record", "SciCat answered 500.", "Re-execute from failure.")
    taken = ledger.operations.take(operation.id, "run-2", lambda _other: True)
    assert browser.step(story.key, "scicat_record")[0] == "going on"
    clock.pass_(seconds=5)
    ledger.operations.finish(
        ledger.operations.submitted(taken), OperationState.SUCCEEDED, why="created", outcome={"url": "https://x.org/1", "created": True}
    )
    assert browser.step(story.key, "scicat_record")[0] == "done"


def test_a_noted_failure_to_look_again_does_not_unmake_a_verified_copy(browser: Browser, tell: Tell, clock: Clock) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    clock.pass_(hours=1)
    story.noted("raw_on_data832", "Globus did not answer.", "It is tried again by itself.")
    assert browser.step(story.key, "raw_on_data832")[0] == "done"


def test_new_pictures_mend_a_noted_failure(browser: Browser, tell: Tell, facility: Facility, clock: Clock) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    folder = story.pictures(facility.state_dir)
    clock.pass_(minutes=1)
    story.noted("preview", "The preview failed.", "Re-execute from failure.")
    assert browser.step(story.key, "preview")[0] == "failed"
    clock.pass_(minutes=1)
    os.utime(folder / "preview.json", (clock().timestamp(), clock().timestamp()))
    assert browser.step(story.key, "preview")[0] == "done"
