"""The state of a scan and of each of its steps, from a record filled through its own interface and read from real pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from board_pages import Browser
from board_story import TASK, Clock, Story

from als_assets.facility import Facility
from als_assets.ledger import Ledger, OperationState, OutboxKind, ReplicaState, Worker
from als_assets.ledger.database import writing

Tell = Callable[..., Story]
PARTITION = "http://127.0.0.1:3000/assets/{}?view=partitions&partition={}"


def gone_run(ledger: Ledger, story: Story, run: str) -> None:
    """A worker of an earlier boot: provably gone."""
    ledger.workers.register(run, story.key)
    with writing(ledger.engine) as session:
        session.get_one(Worker, run).boot_id = "another boot"


def test_a_finished_scan_is_safe_and_every_step_is_done(browser: Browser, tell: Tell, facility: Facility) -> None:
    story = tell()
    story.finished(facility.state_dir)
    assert browser.state(story.key) == "safe"
    page = browser.page(f"/scan/{story.key}")
    words = {e.attributes["id"]: page.one(cls="badge", within=e).text for e in page.all("li", cls="step")}
    assert words == dict.fromkeys(
        [
            "raw_on_data832",
            "raw_on_nersc",
            "preview",
            "scicat_record",
            "recon_tiff",
            "recon_zarr",
            "recon_on_data832",
            "scicat_recon_record",
        ],
        "done",
    )
    assert "8 of 8 done" in page.one(id="steps").text
    assert not page.reloads


def test_links_of_a_finished_scan(browser: Browser, tell: Tell, facility: Facility) -> None:
    story = tell()
    story.finished(facility.state_dir)
    page = browser.page(f"/scan/{story.key}")
    step = page.one("li", id="raw_on_nersc")
    assert page.links(step) == {
        "Dagster": PARTITION.format("raw_on_nersc", story.key),
        "Run": "http://127.0.0.1:3000/runs/run-1",
        "Globus task": f"https://app.globus.org/activity/{TASK}",
    }
    records = [page.links(page.one("li", id=name))["SciCat record"] for name in ("scicat_record", "scicat_recon_record")]
    assert records == ["https://dataportal.als.lbl.gov/datasets/als/1111", "https://dataportal.als.lbl.gov/datasets/als/2222"]


def test_a_new_scan_waits_with_the_copy_at_the_detector(browser: Browser, tell: Tell) -> None:
    story = tell()
    assert browser.state(story.key) == "waiting"
    state, words = browser.step(story.key, "raw_on_data832")
    assert state == "waiting" and "has not been started" in words
    assert browser.page(f"/scan/{story.key}").one("p", cls="answer").text.startswith("Not yet: there is one verified copy, at one site")


@pytest.mark.parametrize(("places", "word"), [([], "one copy"), (["data832_raw"], "one site"), (["data832_raw", "nersc832_raw"], "safe")])
def test_safety_counts_sites_and_not_copies(browser: Browser, tell: Tell, places: list[str], word: str) -> None:
    story = tell()
    story.started()
    for place in places:
        story.copied(place)
    assert browser.state(story.key) == word


def test_no_verified_copy_is_loud(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    story.started()
    copy = ledger.replicas.of(story.key)[0]
    ledger.replicas.move(copy.id, ReplicaState.SUSPECT, why="looked again: nothing is there")
    assert browser.state(story.key) == "needs attention"
    page = browser.page(f"/scan/{story.key}")
    assert page.one("p", cls="answer").text.startswith("No: no verified copy of the raw file is on record.")
    assert "bad" in page.one("section", cls="safe").classes


def test_a_transfer_going_on_shows_how_far_it_is(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started(alive=True)
    story.copied("data832_raw")
    story.copying("nersc832_raw", progress="Globus has moved 4.2 GB.")
    assert browser.state(story.key) == "working"
    state, words = browser.step(story.key, "raw_on_nersc")
    assert state == "going on" and "Globus has moved 4.2 GB." in words
    page = browser.page(f"/scan/{story.key}")
    assert page.reloads and browser.page("/").reloads
    assert page.links(page.one("li", id="raw_on_nersc"))["Globus task"] == f"https://app.globus.org/activity/{TASK}"
    assert browser.step(story.key, "recon_tiff")[1].startswith("Reconstruction waiting Its turn comes")
    assert "Waits for: Reconstruction." in browser.step(story.key, "recon_zarr")[1]


def test_a_living_run_between_two_acts_is_working(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started(alive=True)
    story.copied("data832_raw")
    assert browser.state(story.key) == "working"


def test_a_run_whose_process_is_gone_is_not_working(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    gone_run(ledger, story, story.run)
    story.copying("nersc832_raw", progress="Globus has moved 4.2 GB.")
    state, words = browser.step(story.key, "raw_on_nersc")
    assert state == "stopped" and "what it started remotely may still be going on" in words
    assert "Re-execute from failure" in browser.page(f"/scan/{story.key}").one("section", cls="trouble").text
    assert browser.state(story.key) == "needs attention"
    assert not browser.page(f"/scan/{story.key}").reloads


def test_a_failed_copy_says_why_and_what_to_do(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.copy_failed("nersc832_raw", "The copy failed. Globus keeps trying, but access is denied (PERMISSION_DENIED).")
    assert browser.state(story.key) == "needs attention"
    trouble = browser.page(f"/scan/{story.key}").one("section", cls="trouble").text
    assert "access is denied (PERMISSION_DENIED)" in trouble and "Re-execute from failure" in trouble
    row = browser.page("/").one("li", cls="row").text
    assert "Copy at NERSC: The copy failed." in row


def test_a_later_success_mends_a_failure(browser: Browser, tell: Tell, clock: Clock) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.copy_failed("nersc832_raw", "The copy failed.")
    clock.pass_(minutes=5)
    story.copied("nersc832_raw")
    assert browser.step(story.key, "raw_on_nersc")[0] == "done"
    assert browser.state(story.key) == "safe"


def test_a_failed_job_shows_report_and_log(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    report = story.job_failed("recon_tiff")
    page = browser.page(f"/scan/{story.key}")
    step = page.one("li", id="recon_tiff")
    assert report["sentence"] in step.text
    assert report["next_step"] in page.one("section", cls="trouble").text
    assert page.one("pre", within=step).text == "reading <frames> TruncatedInput: the file ends before frame 1200 & stops"
    rows = {d.text: page.all("dd", within=step)[i].text for i, d in enumerate(page.all("dt", within=step))}
    assert rows["Job"] == "1001" and rows["Exit code"] == "12:0" and rows["Ran"] == "3 min 20 s"
    assert rows["Log at the site"] == "/pscratch/logs/rec-1.err"


def test_success_at_another_site_mends_a_failed_job(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.job_failed("recon_tiff")
    story.made("recon_tiff", location="data832_scratch")
    assert browser.step(story.key, "recon_tiff")[0] == "done"
    assert browser.state(story.key) == "one site"


def test_failure_with_other_parameters_is_not_hidden_by_the_standard_result(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.made("recon_tiff")
    story.job_failed("recon_tiff", variant="1f2e3d4c")
    assert browser.step(story.key, "recon_tiff")[0] == "failed"


def test_a_product_brought_back_does_not_stand_for_the_one_that_was_made(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.made("recon_tiff")
    story.made("recon_zarr")
    story.copied("data832_scratch", "recon_tiff")
    assert browser.step(story.key, "recon_on_data832")[0] == "waiting"
    story.copied("data832_scratch", "recon_zarr")
    assert browser.step(story.key, "recon_on_data832")[0] == "done"


def test_a_terminated_step_is_cancelled_and_no_alarm(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    story.copied("nersc832_raw")
    _, operation = story.job("recon_tiff")
    story.end(operation, OperationState.CANCELLED, sentence="Cancelled because a person terminated run run-1.")
    state, words = browser.step(story.key, "recon_tiff")
    assert state == "cancelled" and "a person terminated run run-1" in words
    assert browser.state(story.key) == "safe"


def test_a_copy_that_did_not_hold_is_a_failure_until_it_is_made_again(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    story.started()
    copy = story.copied("data832_raw")
    ledger.replicas.move(copy.id, ReplicaState.SUSPECT, why="looked again: the file has 3 bytes")
    state, words = browser.step(story.key, "raw_on_data832")
    assert state == "failed" and "did not hold when it was looked at again" in words
    command, page = f"als copy prove {story.key} --at data832_raw --reason WHY", browser.page(f"/scan/{story.key}")
    assert command in page.one("ul", cls="copies").text and page.text.count(command) == 2, "beside the copy, and as what to do"
    assert browser.state(story.key) == "needs attention"
    story.copied("data832_raw")
    assert browser.step(story.key, "raw_on_data832")[0] == "done"


def test_a_pruned_copy_is_removed_and_names_the_copies_that_remain(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    copy = story.copied("nersc832_raw")
    proof = {"copies": [{"location": "data832_raw", "path": "a/b.h5", "looked_at": "2026-03-01T17:00:00+00:00"}]}
    ledger.replicas.move(copy.id, ReplicaState.DELETING, why="due by policy", evidence=proof)
    ledger.replicas.move(copy.id, ReplicaState.DELETED, why="pruned by policy", evidence={"proof": proof})
    state, words = browser.step(story.key, "raw_on_nersc")
    assert state == "removed" and "copies remain at data832_raw" in words
    assert browser.state(story.key) == "one site"


def test_an_export_controlled_scan_stays_and_says_why(browser: Browser, tell: Tell) -> None:
    reason = "proposal ALS-11532 is under export control"
    story = tell(may_leave=False, release_reason=reason, proposal="ALS-11532")
    left_out = f"left out: the scan stays at the ALS because {reason}"
    story.decided(raw_on_nersc=left_out, scicat_record=left_out)
    story.started()
    story.copied("data832_raw")
    page = browser.page(f"/scan/{story.key}")
    assert [b.text for b in page.all(cls="badge", within=page.one("p", cls="states"))] == ["one site", "stays at ALS"]
    assert page.one("p", cls="answer").text.startswith("At the ALS only: there are 2 verified copies, at one site")
    assert reason in page.one("p", cls="answer").text
    assert browser.step(story.key, "raw_on_nersc")[0] == "left out"
    assert "Left out, because 'SciCat record' is left out." in browser.step(story.key, "scicat_recon_record")[1]
    assert "NERSC" not in page.one("section", cls="safe").text
    assert "stays at ALS" in browser.page("/").one("li", cls="row").text


def test_a_step_that_is_left_out_but_was_made_by_hand_is_done(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.decided(recon_tiff="left out: switched off in the settings")
    story.started()
    story.copied("data832_raw")
    assert browser.step(story.key, "recon_tiff")[0] == "left out"
    story.made("recon_tiff")
    assert browser.step(story.key, "recon_tiff")[0] == "done"


def test_a_hold_is_shown_with_its_reason(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    ledger.holds.place(who="A. Scientist", reason="paper in review", proposal="DD-00847")
    page = browser.page(f"/scan/{story.key}")
    assert "held" in [b.text for b in page.all(cls="badge", within=page.one("p", cls="states"))]
    assert "Held by A. Scientist: paper in review" in page.one("section", cls="safe").text


def test_nothing_to_wait_for_tells_what_to_press(browser: Browser, tell: Tell) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    assert "press 'Materialize'" in browser.step(story.key, "recon_tiff")[1]


def test_a_record_that_waits_for_scicat_is_no_failure(browser: Browser, tell: Tell, ledger: Ledger) -> None:
    story = tell()
    story.started()
    story.copied("data832_raw")
    row = ledger.outbox.enqueue(f"als/{story.key}", story.key, OutboxKind.RAW, {})
    ledger.outbox.delay(row.id, "SciCat did not answer")
    state, words = browser.step(story.key, "scicat_record")
    assert state == "waiting" and "Waiting for SciCat since" in words and "SciCat did not answer" in words
    assert "written as soon as SciCat answers" in words and browser.step(story.key, "raw_on_data832")[0] == "done"
    ledger.outbox.park(row.id, "SciCat refused it")
    assert "Waiting for SciCat" not in browser.step(story.key, "scicat_record")[1], "a refusal needs a person"
