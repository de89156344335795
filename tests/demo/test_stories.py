"""The stories of the demo: documented word for word, and believed only when the record says so.

Here: their verdicts on records that are right and wrong, and one of them told to the end by the real command. Not here: the platform.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from als_assets.cli import app
from als_assets.cli.serve import Fault, Site
from als_assets.demo.follow import ASSETS
from als_assets.demo.run import SITES, DemoOptions, _elsewhere, _settings
from als_assets.demo.stories import STORIES, World
from als_assets.ledger import Ledger, OperationKind, OperationState
from als_assets.ledger.datasets import NewDataset

REPOSITORY = Path(__file__).parent.parent.parent
KEY = "scan_1"


@pytest.mark.parametrize("name", STORIES)
def test_every_story_is_documented_word_for_word(name: str) -> None:
    page = (REPOSITORY / "docs" / "operators" / "demo-faults.md").read_text()
    assert f"| `{name}` | {STORIES[name].title} | {STORIES[name].ending} |" in page


def test_the_command_offers_every_story_and_site() -> None:
    assert {f.value for f in Fault} == set(STORIES) and {s.value for s in Site} == set(SITES)
    both = CliRunner().invoke(app, ["demo", "--site", "nersc", "--fault", "site_down"])
    assert both.exit_code == 2 and "a story chooses its own scan" in both.output


def test_a_site_is_the_only_one_that_is_on() -> None:
    options = DemoOptions(Path(), Path(), site="local")
    assert _settings(options, None) == {"sites": {"als": True}, "reconstruction": {"sites": ["als"]}}
    assert _settings(DemoOptions(Path(), Path()), None) == {}
    assert _settings(DemoOptions(Path(), Path(), fault="site_down"), STORIES["site_down"]()) == {"reconstruction": {"sites": ["nersc"]}}


class Jobs:
    """A site that started so many jobs."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def jobs(self) -> list[dict[str, str]]:
        return [{"name": name} for name in self._names]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    ledger = Ledger.at(tmp_path)
    source = {"source_location": "spot832", "source_path": "x", "release_reason": "test", "may_leave": True}
    ledger.datasets.admit(NewDataset(KEY, "bl832", "x", "x.h5", None, 1, None, facts={}, **source))  # type: ignore[arg-type]
    platform: Any = type("Parts", (), {"ledger": ledger})()
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(Jobs("als-rec-scan_1-a"), platform, instance, "", lambda _words: None)  # type: ignore[arg-type]
    ledger.close()


def made(world: World) -> None:
    for name in ASSETS:
        world.instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=KEY))


def job(world: World, site: str, reason: str) -> None:
    operations = world.ledger.operations
    state = OperationState.SUCCEEDED if reason == "none" else OperationState.FAILED
    row = operations.begin(f"job:{site}:{reason}", OperationKind.JOB, KEY, {"site": site, "steps": ["reconstruct"]})
    row = operations.submitted(row)
    operations.finish(row, state, why="test", outcome={"report": {"reason": reason}})


def test_nothing_is_believed_while_an_asset_is_missing(world: World) -> None:
    for story in STORIES.values():
        told = story()
        told._held = "Power outage"  # type: ignore[attr-defined]
        assert any("recon_tiff" in words for words in told.verdict(world, KEY))


def test_a_node_failure_must_end_elsewhere(world: World) -> None:
    made(world)
    story = STORIES["job_node_fail"]()
    job(world, "nersc", "node_fail")
    assert any("failing at nersc and succeeding at als" in words for words in story.verdict(world, KEY))
    job(world, "als", "none")
    assert story.verdict(world, KEY) == ["no verified volume lies at the ALS"]


def test_a_lost_answer_must_have_started_one_job(world: World) -> None:
    made(world)
    story = STORIES["submit_lost"]()
    assert story.verdict(world, KEY) == []
    world.control = Jobs("als-rec-scan_1-a", "als-rec-scan_1-b", "als-rec-other")  # type: ignore[assignment]
    assert story.verdict(world, KEY) == ["2 reconstructions were started at NERSC"]


def test_an_exit_code_must_have_been_read_by_staff(world: World) -> None:
    made(world)
    story = STORIES["job_exit_3"]()
    job(world, "nersc", "exit_code")
    job(world, "nersc", "none")
    assert any("instead of the exit code" in words for words in story.verdict(world, KEY))
    world.ledger.audit.note(f"step recon_tiff of {KEY}", why="It failed with exit code 3.", dataset_key=KEY)
    assert story.verdict(world, KEY) == []


def test_an_outage_must_have_been_the_reason(world: World) -> None:
    made(world)
    story: Any = STORIES["site_down"]()
    story._held = "it is switched off"
    assert any("the reason on record was" in words for words in story.verdict(world, KEY))


def test_a_reconstruction_at_another_site_is_no_success(world: World) -> None:
    job(world, "als", "none")
    assert _elsewhere(world, KEY, "local") == [] and _elsewhere(world, KEY, "") == []
    assert _elsewhere(world, KEY, "olcf") == ["scan_1 was reconstructed at als."]


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_story_is_told_to_its_end(tmp_path: Path) -> None:
    """At NERSC and, after its node failed, at the ALS, by itself."""
    command = [sys.executable, "-c", "from als_assets.cli import main; main()", "demo", "--exit", "--state", str(tmp_path)]
    done = subprocess.run([*command, "--fault", "job_node_fail"], capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was stopped because its node failed" in done.stdout
    assert "It ended as documented: The failure is the site's" in done.stdout
