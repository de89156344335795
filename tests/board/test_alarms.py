"""What is wrong for all scans at once stands on the front page: rejected identities and resting collections.

Here: those two. Not here: settings files (``test_pages``), and one scan's troubles (``test_states``).
"""

from __future__ import annotations

from collections.abc import Callable

from board_pages import Browser
from board_story import Clock, Story

from als_assets.ledger import Ledger, OperationKind, OperationState

Tell = Callable[..., Story]


def test_nothing_is_said_while_all_is_well(browser: Browser, tell: Tell) -> None:
    tell().copied("data832_raw")
    assert not [s for s in browser.page("/").all("section") if "Globus" in s.attributes.get("aria-label", "")]


def test_an_identity_that_globus_rejects_is_named_with_what_waits_for_it(
    browser: Browser, tell: Tell, ledger: Ledger, clock: Clock
) -> None:
    story = tell()
    refused = {"sentence": "Globus rejected the identity 'mover'.", "next_step": "Put the new secret there.", "at": clock().isoformat()}
    story.open(OperationKind.TRANSFER, None, "transfer:x:y", submitted=False)
    operation = ledger.operations.of(story.key)[0]
    ledger.operations.annotate(operation, refused=refused)
    card = browser.page("/").one("section", cls="trouble").text
    assert "Globus does not accept us" in card and "rejected the identity 'mover'" in card and "Put the new secret there." in card
    assert "Acts that wait for it: 1; nothing of them is lost." in card


def fail_three_times(story: Story, ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        operation = ledger.operations.begin(
            f"transfer:{number}", OperationKind.TRANSFER, story.key, {"to": {"location": "nersc832_raw", "path": "x"}}
        )
        operation = ledger.operations.submitted(ledger.operations.take(operation.id, "run-1", lambda _run: True))
        trouble = {"code": "ENDPOINT_ERROR", "words": "", "since": clock().isoformat(), "collections": []}
        ledger.operations.finish(operation, OperationState.FAILED, why="it failed", outcome={"sentence": "it failed", "trouble": trouble})


def test_a_collection_that_rests_is_no_red_card_and_goes_by_itself(browser: Browser, tell: Tell, ledger: Ledger, clock: Clock) -> None:
    fail_three_times(tell(), ledger, clock)
    page = browser.page("/")
    cards = [s.text for s in page.all("section") if s.attributes.get("aria-label") == "A collection is given a rest"]
    assert len(cards) == 1 and "has failed 3 times in a row" in cards[0] and "nersc832_raw" in cards[0]
    assert not page.all("section", cls="trouble")
    clock.pass_(hours=2)
    assert "is given a rest" not in browser.page("/").text


def test_failures_from_the_future_make_nothing_rest(browser: Browser, tell: Tell, ledger: Ledger, clock: Clock) -> None:
    """A clock that was set back would let a collection rest for as long as it was wrong."""
    fail_three_times(tell(), ledger, clock)
    clock.pass_(days=-3)
    assert "is given a rest" not in browser.page("/").text
