"""The production file of the repository holds exactly the endpoints that the beamline uses, and no secret.

Here: every collection id and root, as agreed with the beamline. Not here: how a file is checked (``test_load``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from als_assets.facility import Facility, load_facility
from als_assets.facility.compute import SfapiCompute
from als_assets.facility.load import load_model
from als_assets.facility.models import LocationClass
from als_assets.facility.secrets import SecretRef, find_pasted_secret
from als_assets.facility.settings import Settings

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "facility" / "als.yaml"

ALSDEV = "d40248e6-d874-4f7b-badd-2c06c16f1a58"
CFS = "/global/cfs/cdirs/als/data_mover/8.3.2"
OLCF, ORION = "36d521b3-c182-4071-b7d5-91db5d380d42", "/lustre/orion/<OLCF project>/proj-shared/8.3.2"
ENDPOINTS = {
    "spot832": ("44ae904c-ab64-4145-a8f0-7287de38324d", "/"),
    "data832": ("75b478b2-37af-46df-bfbd-71ed692c6506", "/data"),
    "data832_raw": ("75b478b2-37af-46df-bfbd-71ed692c6506", "/data/raw"),
    "data832_scratch": ("75b478b2-37af-46df-bfbd-71ed692c6506", "/data/scratch/globus_share"),
    "alcf832_raw": ("55c3adf6-31f1-4647-9a38-52591642f7e7", "/data/raw"),
    "alcf832_scratch": ("55c3adf6-31f1-4647-9a38-52591642f7e7", "/data/scratch"),
    "alcf_eagle832": ("05d2c76a-e867-4f67-aa57-76edeb0beda0", "/IRIBeta/als/example"),
    "olcf832": (OLCF, ORION),
    "olcf832_raw": (OLCF, f"{ORION}/raw"),
    "olcf832_scratch": (OLCF, f"{ORION}/scratch"),
    "nersc_alsdev": (ALSDEV, "/global/homes/a/alsdev/test_directory"),
    "nersc832_alsdev_raw": (ALSDEV, f"{CFS}/raw"),
    "nersc832_alsdev_scratch": (ALSDEV, f"{CFS}/scratch"),
    "nersc832_alsdev_pscratch_raw": (ALSDEV, "/pscratch/sd/a/alsdev/8.3.2/raw"),
    "nersc832_alsdev_pscratch_scratch": (ALSDEV, "/pscratch/sd/a/alsdev/8.3.2/scratch"),
    "nersc832_alsdev_recon_scripts": (ALSDEV, f"{CFS}/tomography_reconstruction_scripts"),
    "nersc832": ("df82346e-9a15-11ea-b3c4-0ae144191ee3", CFS),
    "data733": ("26b3d2cf-fd80-4a64-a78f-38a155aca926", "/"),
    "beegfs733": ("d33b5d6e-1603-414e-93cb-bcb732b7914a", "/beamline_staging/bl733/raw"),
    "nersc733_alsdev_raw": (ALSDEV, "/global/cfs/cdirs/als/data_mover/7.3.3/raw"),
    "data7012": ("741b96e1-1b98-42a8-918d-daacc24c145f", "/"),
    "nersc7012": (ALSDEV, "/global/cfs/cdirs/als/gsharing/data_mover/7012"),
}


@pytest.fixture(scope="module")
def als() -> Facility:
    return load_facility(FILE)


def test_exactly_these_endpoints(als: Facility) -> None:
    assert als.locations.keys() == ENDPOINTS.keys()


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint(als: Facility, name: str) -> None:
    location = als.location(name)
    assert (str(location.collection), str(location.root)) == ENDPOINTS[name]


def test_paths_arrive_from_the_beamline_below_global_raw(als: Facility) -> None:
    spot = als.location(als.beamlines["bl832"].acquisition)
    assert str(spot.root / spot.prefix) == "/raw"
    assert str(spot.site_root / spot.prefix) == "/global/raw"


def test_the_parts_that_locations_play_for_8_3_2(als: Facility) -> None:
    setup = als.beamlines["bl832"]
    assert (setup.acquisition, setup.raw, setup.raw_remote) == ("spot832", "data832_raw", "nersc832_alsdev_raw")
    assert als.site_of(setup.results) == "als"
    assert setup.settings == REPOSITORY / "facility" / "../settings/bl832.yaml"


def test_only_the_als_is_on_the_premises(als: Facility) -> None:
    assert {name for name, site in als.sites.items() if site.on_premises} == {"als", "als733", "als7012"}


def test_jobs_at_nersc_are_what_the_beamline_runs_today(als: Facility) -> None:
    compute = als.sites["nersc"].compute
    assert isinstance(compute, SfapiCompute)
    assert (compute.qos, compute.account, compute.constraint, compute.cpus_per_task) == ("realtime", "als", "cpu", 64)
    assert compute.walltime_s == 15 * 60
    assert compute.container.command == "podman-hpc"
    assert als.images[str(compute.container.image)].reference == "ghcr.io/als-computing/microct"


def test_the_image_is_named_by_digest(als: Facility) -> None:
    digest = als.images["microct"].digest
    assert isinstance(digest, SecretRef) or digest.startswith("sha256:")


def test_the_catalogue_is_the_portal_and_off_the_premises(als: Facility) -> None:
    assert als.scicat.api_url.startswith("https://dataportal.als.lbl.gov/")
    assert not als.sites[als.scicat.site].on_premises


def test_each_role_has_an_identity_of_its_own(als: Facility) -> None:
    compute = als.sites["nersc"].compute
    assert isinstance(compute, SfapiCompute)
    assert len({als.globus.mover, als.globus.pruner, compute.identity, als.scicat.identity}) == 4


def test_no_secret_is_in_the_file_and_the_archive_is_never_pruned(als: Facility) -> None:
    assert find_pasted_secret(FILE.read_text()) is None
    settings = load_model(als.beamlines["bl832"].settings, Settings)
    assert set(settings.retention.rules) == {LocationClass.ACQUISITION, LocationClass.STAGING, LocationClass.SCRATCH}
    assert LocationClass.ARCHIVE in settings.retention.never_delete
    assert settings.export_control.unknown_proposal_stays
