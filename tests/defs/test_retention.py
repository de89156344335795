"""The deletion plan and the prune job in Dagster, on real bytes at the simulated sites.

Here: what staff see and what is really deleted. Not here: the rules (``tests/retention``).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from als_assets.defs.retention import deletion_plan, prune_job
from als_assets.ledger import Manifest, Replica, ReplicaState
from als_assets.ledger.datasets import NewDataset
from tests.defs.conftest import Facility

KEY, PATH = "scan_1", "f/recscan_1"
RULES = {"retention": {"grace_hours": 0, "rules": {"scratch": {"min_age_days": 0}}}}


def settings(facility: Facility, **changes: object) -> None:
    document = yaml.safe_load(facility.box.settings_file.read_text())
    facility.box.settings_file.write_text(yaml.safe_dump({**document, **changes}))


@pytest.fixture
def copies(facility: Facility) -> dict[str, Replica]:
    """A product of one file at NERSC's scratch and at data832."""
    parts = facility.parts
    parts.ledger.datasets.admit(NewDataset(KEY, "bl832", "f", "s.h5", "P", 1, None, True, "allowed", "spot832", "f/s.h5"))
    folders = {
        "nersc832_alsdev_pscratch_scratch": facility.box.root / "nersc/pscratch/sd/a/alsdev/8.3.2/scratch",
        "data832_scratch": facility.box.results,
    }
    made = {}
    for location, root in folders.items():
        (root / PATH).parent.mkdir(parents=True, exist_ok=True)
        (root / PATH).write_bytes(b"volume")
        replica = parts.ledger.replicas.expect(KEY, "recon_tiff", location, PATH)
        made[location] = parts.ledger.replicas.verified(replica.id, Manifest.single(6), why="made", evidence={})
    return made


def where(facility: Facility, location: str) -> Path:
    return Path(facility.parts.transfers.place(location, PATH).site_path)


def test_plan_shows_what_goes_and_what_is_kept(facility: Facility, copies: dict[str, Replica], instance: dg.DagsterInstance) -> None:
    settings(facility, retention={"rules": {"scratch": {"min_age_days": 13}}})
    facility.parts.ledger.holds.place(who="ada", reason="a | paper", dataset_key=KEY)
    result = dg.materialize([deletion_plan], instance=instance, resources=facility.resources)
    [event] = result.asset_materializations_for_node("deletion_plan")
    table = str(event.metadata["plan"].value).splitlines()
    assert table[0] == "| goes (UTC) | scan | what | where | size | why |" and len(table) == 4
    assert all("| kept | scan_1 | recon_tiff | " in row and "kept: ada holds it (a \\| paper)" in row for row in table[2:])
    assert (event.metadata["due now"].value, event.metadata["in the next 14 days"].value) == (0, 0)
    assert event.metadata["retention"].value == "on"


def test_plan_leaves_out_what_is_further_away(facility: Facility, copies: dict[str, Replica], instance: dg.DagsterInstance) -> None:
    settings(facility, retention={"enabled": False, "rules": {"scratch": {"min_age_days": 15}}})
    result = dg.materialize([deletion_plan], instance=instance, resources=facility.resources)
    [event] = result.asset_materializations_for_node("deletion_plan")
    assert event.metadata["plan"].value == "Nothing is planned for the next 14 days."
    assert event.metadata["copies in the plan"].value == 2 and str(event.metadata["retention"].value).startswith("OFF")


def test_prune_deletes_one_copy_with_proof_and_keeps_the_last(
    facility: Facility, copies: dict[str, Replica], instance: dg.DagsterInstance
) -> None:
    settings(facility, **RULES)
    result = prune_job.execute_in_process(instance=instance, resources=facility.resources)
    assert result.success
    states = sorted(str(facility.parts.ledger.replicas.get(c.id).state) for c in copies.values())
    assert states == ["deleted", "verified"], "the other copy's proof is gone, so it stays"
    left = [location for location in copies if where(facility, location).exists()]
    assert len(left) == 1
    gone = next(c for location, c in copies.items() if location not in left)
    evidence = facility.parts.ledger.replicas.get(gone.id).evidence
    assert [p["location"] for p in evidence["proof"]["copies"]] == left
    [observation] = instance.fetch_observations(
        dg.AssetKey("recon_tiff" if "nersc" in gone.location else "recon_on_data832"), limit=5
    ).records
    assert "1 copy remains at" in str(observation.asset_observation.description)  # type: ignore[union-attr]


def test_dry_run_and_switched_off_delete_nothing(facility: Facility, copies: dict[str, Replica], instance: dg.DagsterInstance) -> None:
    settings(facility, **RULES)
    config = {"ops": {"prune_copies": {"config": {"dry_run": True}}}}
    assert prune_job.execute_in_process(instance=instance, resources=facility.resources, run_config=config).success
    settings(facility, retention={**RULES["retention"], "enabled": False})
    assert prune_job.execute_in_process(instance=instance, resources=facility.resources).success
    assert all(where(facility, location).exists() for location in copies)
    assert {facility.parts.ledger.replicas.get(c.id).state for c in copies.values()} == {ReplicaState.VERIFIED}
    assert facility.simulator.control.tasks() == []
