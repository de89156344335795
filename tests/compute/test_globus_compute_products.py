"""The simulated ALCF in the box. Here: that it is there. Not here: jobs and products (``test_contract``, ``test_products``)."""

from __future__ import annotations

import yaml
from facility_in_a_box import Bench

from als_assets.compute.globus_compute.transport import GlobusComputeTransport
from als_assets.facility.load import load_model
from als_assets.facility.settings import Settings


def test_the_site_is_there_and_switched_off(bench: Bench) -> None:
    assert bench.platform.facility.sites["alcf"].title == "ALCF (simulated)"
    assert isinstance(bench.platform.compute._transports["alcf"], GlobusComputeTransport)
    assert load_model(bench.box.settings_file, Settings).sites["alcf"] is False
    assert "alcf" not in yaml.safe_load(bench.box.settings_file.read_text()).get("reconstruction", {}).get("sites", [])
