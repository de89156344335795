"""The platform put together from a facility file: nothing is opened before it is used, and every part asks the same gate.

Here: the wiring, on a simulated facility's files without its services. Not here: what the parts do.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from als_assets.catalogue.calls import DatasetCalls
from als_assets.errors import ConfigError, ExportRefused, JobError, SecretUnavailable, SiteNotReady
from als_assets.facility import load_facility
from als_assets.facility.load import facility_file
from als_assets.ledger import Operation, OperationKind, OperationState
from als_assets.ledger.acting import Actor
from als_assets.ledger.datasets import NewDataset
from als_assets.platform import Platform, close_platforms, platform_of
from als_assets.simulator.box import Box, Ports, make_box


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """A facility whose services do not run: whoever calls them is refused by the system at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return make_box(tmp_path_factory.mktemp("box"), Ports(port, port, port))


@pytest.fixture
def parts(box: Box, tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(load_facility(box.facility_file).model_copy(update={"state_dir": tmp_path / "state"}), who="tester")
    yield platform
    if "ledger" in vars(platform):
        platform.ledger.close()


def admit(parts: Platform, *, may_leave: bool) -> None:
    new = NewDataset("sand", "bl832", "f", "sand.h5", "ALS-1", 4, None, may_leave, "a test", "spot832", "f/sand.h5")
    parts.ledger.datasets.admit(new)


def test_nothing_is_opened_before_it_is_used(parts: Platform) -> None:
    state = parts.facility.state_dir
    assert not state.exists()
    assert parts.ledger.datasets.list() == [] and (state / "ledger.sqlite").exists()
    assert parts.ledger is parts.ledger


def test_the_name_signs_the_audit(parts: Platform) -> None:
    admit(parts, may_leave=True)
    assert {row.who for row in parts.ledger.audit.of("sand")} == {"tester"}


def test_secrets_are_read_when_they_are_needed(box: Box, parts: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    identities = {
        name: identity.model_copy(
            update={field: value.model_copy(update={"file": Path("/nowhere")}) for field, value in identity if hasattr(value, "read")}
        )
        for name, identity in parts.facility.identities.items()
    }
    bare = Platform(parts.facility.model_copy(update={"identities": identities}))
    assert bare.transfers is not None and bare.compute.setup("nersc").kind == "sfapi"
    with pytest.raises(SecretUnavailable, match="/nowhere"):
        _ = bare.catalogue
    bare.ledger.close()


def test_every_site_with_compute_has_its_transport_and_no_other(parts: Platform) -> None:
    assert (parts.compute.setup("als").kind, parts.compute.setup("nersc").kind) == ("local", "sfapi")
    with pytest.raises(JobError, match="The site 'scicat' cannot run jobs") as caught:
        parts.compute.setup("scicat")
    assert caught.value.next_step == "Choose one of: alcf, als, nersc, olcf."
    assert parts.compute.setup("alcf").kind == "globus_compute"


def test_a_site_whose_entry_has_words_to_fill_in_takes_no_jobs(parts: Platform) -> None:
    olcf = parts.facility.sites["olcf"]
    compute = olcf.compute.model_copy(update={"account": "<OLCF project>"})  # type: ignore[union-attr]
    sites = {**parts.facility.sites, "olcf": olcf.model_copy(update={"compute": compute})}
    unready = Platform(parts.facility.model_copy(update={"sites": sites}))
    with pytest.raises(SiteNotReady, match=r"is not set up: <OLCF project> must be filled in at sites\.olcf\.compute\.account") as caught:
        unready.compute.setup("olcf")
    assert "als config check" in caught.value.next_step
    assert unready.compute.setup("nersc").kind == "sfapi"
    unready.ledger.close()


class TestTheGate:
    """One gate, which asks the record at the moment of the request."""

    def test_a_flag_works_at_once(self, parts: Platform) -> None:
        admit(parts, may_leave=True)
        parts.gate.require("sand", "nersc")
        parts.ledger.datasets.set_release("sand", may_leave=False, reason="flagged just now")
        with pytest.raises(ExportRefused, match="flagged just now"):
            parts.gate.require("sand", "nersc")
        parts.gate.require("sand", "als")

    def test_what_the_record_does_not_know_stays(self, parts: Platform) -> None:
        with pytest.raises(ExportRefused, match="nobody has said that it may leave"):
            parts.gate.require("unheard-of", "nersc")

    def test_the_transfers_ask_it(self, parts: Platform) -> None:
        admit(parts, may_leave=False)
        actor = Actor("run1", lambda _run: False)
        with pytest.raises(ExportRefused):
            parts.transfers.ensure_replica(actor, "sand", "raw", "nersc832_alsdev_raw", "f/sand.h5")
        assert parts.ledger.operations.of("sand") == [] and len(parts.ledger.replicas.of("sand")) == 1

    def test_the_jobs_ask_it(self, parts: Platform) -> None:
        admit(parts, may_leave=False)
        with pytest.raises(ExportRefused):
            parts.compute.reconstruct(Actor("run1", lambda _run: False), parts.ledger.datasets.get("sand"), "nersc", {}, {})
        assert parts.ledger.operations.of("sand") == []

    def test_the_catalogue_asks_it_about_its_own_site(self, parts: Platform) -> None:
        admit(parts, may_leave=False)
        with parts.catalogue as catalogue, pytest.raises(ExportRefused, match="was not sent to scicat"):
            DatasetCalls(catalogue, "sand", "als/sand").get()


class TestSettings:
    def test_they_are_read_at_every_look_and_the_last_good_ones_are_kept_with_the_state(self, box: Box, parts: Platform) -> None:
        before = box.settings_file.read_text()
        try:
            assert parts.settings("bl832").settings.quiet_s == 2.0
            box.settings_file.write_text("quiet_s: 6\n")
            assert parts.settings("bl832").settings.quiet_s == 6
            box.settings_file.write_text("quiet_s: never\n")
            loaded = parts.settings("bl832")
            assert loaded.settings.quiet_s == 6 and loaded.problem is not None
            assert (parts.facility.state_dir / "settings" / "bl832.last-good.yaml").exists()
        finally:
            box.settings_file.write_text(before)

    def test_the_intake_watches_the_acquisition(self, box: Box, parts: Platform) -> None:
        assert parts.intake("bl832").root == box.watched
        assert parts.previews is parts.previews


class TestCancel:
    """Terminate stops the remote work of the right kind."""

    @pytest.mark.parametrize(
        ("kind", "asked"),
        [
            (OperationKind.TRANSFER, ["transfers"]),
            (OperationKind.DELETE, ["transfers"]),
            (OperationKind.JOB, ["compute"]),
            (OperationKind.CATALOGUE, []),
        ],
    )
    def test_by_kind(self, parts: Platform, kind: OperationKind, asked: list[str]) -> None:
        stopped: list[str] = []

        class Recorder:
            def __init__(self, name: str) -> None:
                self.name = name

            def cancel(self, operation: Operation) -> None:
                assert operation.state is OperationState.SUBMITTED
                stopped.append(self.name)

        vars(parts).update(transfers=Recorder("transfers"), compute=Recorder("compute"))
        parts.cancel(Operation(kind=kind, state=OperationState.SUBMITTED))
        assert stopped == asked


class TestTheFileInForce:
    def test_the_variable_wins_over_the_production_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ALS_FACILITY", raising=False)
        assert facility_file() == Path("facility/als.yaml")
        monkeypatch.setenv("ALS_FACILITY", "/etc/als/facility.yaml")
        assert facility_file() == Path("/etc/als/facility.yaml")

    def test_one_platform_for_each_file(self, box: Box) -> None:
        assert platform_of(box.facility_file) is platform_of(box.facility_file)
        assert platform_of(box.facility_file).facility.name == "demo"

    def test_after_closing_there_is_a_fresh_one(self, box: Box) -> None:
        first = platform_of(box.facility_file)
        first.ledger.datasets.list()
        close_platforms()
        assert "ledger" not in vars(platform_of(box.facility_file)) and platform_of(box.facility_file) is not first

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"The facility file .*absent\.yaml does not exist") as caught:
            platform_of(tmp_path / "absent.yaml")
        assert "ALS_FACILITY" in caught.value.next_step

    def test_a_mistake_is_not_remembered(self, box: Box, tmp_path: Path) -> None:
        path = tmp_path / "facility.yaml"
        path.write_text("name: x\n")
        with pytest.raises(ConfigError):
            platform_of(path)
        path.write_text(box.facility_file.read_text())
        os.utime(path)
        found: Any = platform_of(path)
        assert found.facility.name == "demo"
