"""Parameters: bounds, help, order of sources, and refusals that name the key.

Here: promises of parameters.py. What belongs here is anything about values. Not here: what they do to images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from als_assets.recon.errors import BadParameters, InputUnreadable
from als_assets.recon.parameters import Parameters, load_yaml, resolve


def test_every_parameter_has_help_and_the_schema_lists_it_for_a_form() -> None:
    properties = Parameters.model_json_schema()["properties"]
    assert set(properties) == set(Parameters.model_fields)
    assert all(len(entry["description"]) > 20 for entry in properties.values())


def test_later_sources_win_and_are_recorded() -> None:
    resolved = resolve({"filter": "hann", "mask_ratio": "0.5"}, {"filter": "parzen", "filter_order": 3}, {"center": 12.5})
    assert resolved.parameters.filter == "parzen"
    assert resolved.parameters.mask_ratio == 0.5
    assert resolved.parameters.center == 12.5
    assert resolved.sources["filter"] == "parameters file"
    assert resolved.sources["mask_ratio"] == "scan file"
    assert resolved.sources["center"] == "command line"
    assert resolved.sources["padding"] == "default"
    assert resolved.ignored == {}


def test_wishes_in_the_scan_that_are_not_understood_are_ignored_and_listed() -> None:
    resolved = resolve({"phase_filt": "paganin", "ring_removal_method": "fw", "filter": "sharpest"}, {}, {})
    assert resolved.parameters.ring_removal == "fourier-wavelet"
    assert resolved.parameters.filter == "ramp"
    assert resolved.ignored == {"phase_filt": "paganin", "filter": "sharpest"}


@pytest.mark.parametrize(
    ("given_values", "key"),
    [
        ({"fliter": "ramp"}, "fliter"),
        ({"mask_ratio": 1.5}, "mask_ratio"),
        ({"transmission_floor": 0}, "transmission_floor"),
        ({"center": "middle"}, "center"),
        ({"center": float("nan")}, "center"),
        ({"ring_wavelet": "db99"}, "ring_wavelet"),
        ({"pixel_size_mm": -1}, "pixel_size_mm"),
    ],
)
def test_what_people_write_wrongly_is_refused_by_name(given_values: dict[str, Any], key: str) -> None:
    with pytest.raises(BadParameters) as caught:
        resolve({}, given_values, {})
    assert f"Parameter {key} " in caught.value.sentence
    assert "ring_removal" in caught.value.next_step


def test_parameters_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        Parameters().filter = "hann"  # type: ignore[misc]


@given(st.floats(-10_000, 100_000) | st.sampled_from(["auto", "pc", "vo"]))
def test_every_legal_centre_survives_a_round_trip(center: float | str) -> None:
    dumped = resolve({}, {"center": center}, {}).parameters.model_dump()
    assert Parameters.model_validate(dumped).center == center


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5))
def test_no_text_in_a_scan_can_stop_the_reconstruction(wishes: dict[str, str]) -> None:
    resolved = resolve(wishes, {}, {})
    assert set(resolved.ignored) <= set(wishes)


def test_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("filter: hann\ncenter: 7\n", encoding="utf-8")
    assert load_yaml(path) == {"filter": "hann", "center": 7}
    path.write_text("", encoding="utf-8")
    assert load_yaml(path) == {}


@pytest.mark.parametrize("content", ["- a\n- b\n", "text", "a: [1\n"])
def test_yaml_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadParameters, match=r"p\.yaml"):
        load_yaml(path)


def test_a_missing_or_binary_parameters_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable):
        load_yaml(tmp_path / "absent.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputUnreadable):
        load_yaml(tmp_path / "b.yaml")
