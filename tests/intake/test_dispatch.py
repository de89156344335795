"""What is done with a scan and where, each with its reason.

Here: the table of steps, sites and flags. Not here: launching.
"""

from __future__ import annotations

from itertools import product

import pytest

from als_assets.errors import NoSiteAvailable
from als_assets.facility import Facility, Release
from als_assets.facility.settings import Reconstruction, Settings, Steps
from als_assets.intake import Decision, decide
from als_assets.intake.dispatch import STEP_ASSETS, choose_site

FREE = Release(True, "proposal ALS-1 is not under export control")
FLAGGED = Release(False, "proposal ALS-9 is under export control")
UNKNOWN = Release(False, "its proposal is unknown, and unknown stays")
EVERYTHING = {
    "raw_on_data832",
    "preview",
    "raw_on_nersc",
    "scicat_record",
    "recon_tiff",
    "recon_zarr",
    "recon_on_data832",
    "scicat_recon_record",
}


def settings_with(steps: dict[str, bool] | None = None, sites: dict[str, bool] | None = None, order: list[str] | None = None) -> Settings:
    changes = {"sites": sites} if sites is not None else {}
    return Settings(steps=Steps(**(steps or {})), reconstruction=Reconstruction(sites=order or ["nersc", "als"]), **changes)  # type: ignore[arg-type]


def decided(facility: Facility, settings: Settings, release: Release = FREE) -> Decision:
    decision = decide(facility, "bl832", settings, release)
    assert set(decision.reasons) >= set(decision.assets) - {"scicat_recon_record"}, "everything has its reason"
    return decision


# steps off, sites, order, release -> assets that are missing, site
TABLE = [
    pytest.param([], None, None, FREE, set(), "nersc", id="all on"),
    pytest.param(["preview"], None, None, FREE, {"preview"}, "nersc", id="no preview"),
    pytest.param(["raw_on_nersc"], None, None, FREE, {"raw_on_nersc"}, "nersc", id="no copy to NERSC by itself"),
    pytest.param(["scicat_record"], None, None, FREE, {"scicat_record", "scicat_recon_record"}, "nersc", id="no catalogue"),
    pytest.param(["bring_back"], None, None, FREE, {"recon_on_data832"}, "nersc", id="not brought back"),
    pytest.param(
        ["reconstruction"],
        None,
        None,
        FREE,
        {"recon_tiff", "recon_zarr", "recon_on_data832", "scicat_recon_record"},
        "",
        id="no reconstruction, so nothing to bring back",
    ),
    pytest.param(list(STEP_ASSETS), None, None, FREE, EVERYTHING - {"raw_on_data832"}, "", id="the first safe copy is always made"),
    pytest.param([], {"nersc": False, "als": True}, None, FREE, set(), "als", id="NERSC off"),
    pytest.param([], {"als": True}, None, FREE, set(), "als", id="a site that is not listed is off"),
    pytest.param([], None, ["als", "nersc"], FREE, set(), "als", id="the order is staff's"),
    pytest.param([], {"alcf": True, "als": True}, ["alcf", "als"], FREE, set(), "als", id="a site without compute is passed over"),
    pytest.param([], {"mars": True, "als": True}, ["mars", "als"], FREE, set(), "als", id="an unknown site is passed over"),
    pytest.param([], None, None, FLAGGED, {"raw_on_nersc", "scicat_record", "scicat_recon_record"}, "als", id="flagged"),
    pytest.param([], None, None, UNKNOWN, {"raw_on_nersc", "scicat_record", "scicat_recon_record"}, "als", id="unknown proposal"),
    pytest.param(["reconstruction", "preview"], {}, None, FLAGGED, EVERYTHING - {"raw_on_data832"}, "", id="flagged, all off"),
]


@pytest.mark.parametrize(("off", "sites", "order", "release", "missing", "site"), TABLE)
def test_case(
    facility: Facility,
    off: list[str],
    sites: dict[str, bool] | None,
    order: list[str] | None,
    release: Release,
    missing: set[str],
    site: str,
) -> None:
    decision = decided(facility, settings_with(dict.fromkeys(off, False), sites, order), release)
    assert set(decision.assets) == EVERYTHING - missing
    assert len(decision.assets) == len(set(decision.assets))
    assert decision.site == site and ("site" in decision.reasons) == bool(site)


@pytest.mark.parametrize(
    ("settings", "release", "asset", "words"),
    [
        (settings_with({"preview": False}), FREE, "preview", "left out: switched off in the settings"),
        (settings_with(), FREE, "preview", "switched on in the settings"),
        (settings_with(), FREE, "raw_on_data832", "always: the first safe copy"),
        (settings_with({"reconstruction": False}), FREE, "recon_on_data832", "left out: nothing is reconstructed"),
        (settings_with(), FLAGGED, "raw_on_nersc", "the scan stays at the ALS because proposal ALS-9 is under export control"),
        (settings_with(), UNKNOWN, "scicat_record", "because its proposal is unknown, and unknown stays"),
        (settings_with(), FREE, "site", "NERSC is the first site that is on and allowed"),
        (settings_with(sites={"als": True}), FREE, "site", "ALS is the first site that is on and allowed (nersc is switched off)"),
        (settings_with(), FLAGGED, "site", "nersc is outside the ALS and the scan stays because proposal ALS-9"),
        (settings_with(sites={"als": True, "alcf": True}, order=["alcf", "als"]), FREE, "site", "(alcf cannot run jobs)"),
    ],
)
def test_every_decision_has_its_reason(facility: Facility, settings: Settings, release: Release, asset: str, words: str) -> None:
    assert words in decided(facility, settings, release).reasons[asset]


@pytest.mark.parametrize(
    ("settings", "release", "words"),
    [
        (settings_with(sites={}), FREE, "nersc is switched off; als is switched off"),
        (settings_with(order=["nersc"]), FLAGGED, "nersc is outside the ALS and the scan stays because"),
        (settings_with(order=["alcf", "olcf"]), FREE, "alcf cannot run jobs; olcf cannot run jobs"),
        (Settings(reconstruction=Reconstruction(sites=[])), FREE, "no site is listed"),
    ],
)
def test_where_nothing_is_available_it_says_why(facility: Facility, settings: Settings, release: Release, words: str) -> None:
    decision = decide(facility, "bl832", settings, release)
    assert "raw_on_data832" in decision.assets and decision.site == "", "the first safe copy never waits for a site"
    assert not {"recon_tiff", "recon_zarr", "recon_on_data832", "scicat_recon_record"} & set(decision.assets)
    assert words in decision.reasons["recon_tiff"] and decision.reasons["recon_tiff"].startswith("held: ")
    assert words in decision.held
    with pytest.raises(NoSiteAvailable, match="No site can reconstruct this scan now") as caught:
        choose_site(facility, settings, release)
    assert words in caught.value.sentence and "switch a site on" in caught.value.next_step


def test_a_site_that_is_not_set_up_gets_nothing_even_when_it_is_pinned(facility: Facility) -> None:
    nersc = facility.sites["nersc"]
    compute = nersc.compute.model_copy(update={"account": "<NERSC project>"})  # type: ignore[union-attr]
    unready = facility.model_copy(update={"sites": {**facility.sites, "nersc": nersc.model_copy(update={"compute": compute})}})
    words = "NERSC is not set up: <NERSC project> must be filled in at sites.nersc.compute.account"

    assert choose_site(unready, settings_with(), FREE) == ("als", f"ALS is the first site that is on and allowed ({words})")
    decision = decide(unready, "bl832", settings_with(), FREE, pinned="nersc")
    assert decision.site == "" and words in decision.held


def test_what_must_stay_is_never_sent_away_whatever_the_settings_say(facility: Facility) -> None:
    names = list(STEP_ASSETS)
    for switches in product([False, True], repeat=len(names)):
        for order in (["nersc", "als"], ["als", "nersc"], ["als"]):
            settings = settings_with(dict(zip(names, switches, strict=True)), {"nersc": True, "als": True}, order)
            decision = decided(facility, settings, FLAGGED)
            assert not {"raw_on_nersc", "scicat_record", "scicat_recon_record"} & set(decision.assets)
            assert decision.site in ("", "als")
