"""A facility file to spoil. Here: writing the edited text and loading it. Not here: any promise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from facility_kit import facility_at, text

from als_assets.errors import ConfigError
from als_assets.facility import Facility, load_facility


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    return facility_at(tmp_path)


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[[str, str], ConfigError]:
    """Replace one piece of the facility file (it must occur) and return the complaint that loading it raises."""

    def change(old: str, new: str) -> ConfigError:
        whole = text()
        assert old in whole
        path = tmp_path / "facility.yaml"
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(ConfigError) as caught:
            load_facility(path)
        assert caught.value.sentence.startswith(f"{path}, line ")
        assert caught.value.next_step
        return caught.value

    return change
