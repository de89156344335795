"""Clean-ups of dirty texts. Here: groups, addresses, words and keys. Not here: the records that use them."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.catalogue import clean

ALIASES = {"bl832": "8.3.2", "832": "8.3.2"}


@pytest.mark.parametrize(
    ("written", "group"),
    [
        ("ALS-00847", "ALS-00847"),
        (" 'ALS-00847', ", "ALS-00847"),
        ('["ALS-00847"]', "ALS-00847"),
        ("8.3.2", "8.3.2"),
        ("None", None),
        ("unknown", None),
        ("", None),
        ("ALS 00847", None),
        ("$where", None),
        ("a..b", None),
        (".a", None),
        ("a.", None),
        ("x" * 101, None),
        (None, None),
        (847, None),
    ],
)
def test_group_name(written: object, group: str | None) -> None:
    assert clean.group_name(written) == group


@given(st.text())
def test_any_group_is_safe_as_a_field_name(text: str) -> None:
    """SciCat counts by group in fields such as userGroupCounts.<group>: no empty part, no dollar."""
    group = clean.group_name(text)
    if group is not None:
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in group.split("."))


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ("bl832", ["8.3.2"]),
        ("'BL832',", ["8.3.2"]),
        ("8.3.2", ["8.3.2"]),
        ("8.3.2, bl832", ["8.3.2"]),
        ("8.3.2;7.3.3", ["8.3.2", "7.3.3"]),
        ("['bl832']", ["8.3.2"]),
        ("None", []),
        ("", []),
        (None, []),
        (8.3, []),
    ],
)
def test_beamline_groups(written: object, groups: list[str]) -> None:
    assert clean.beamline_groups(written, ALIASES) == groups


@pytest.mark.parametrize(
    ("written", "addresses"),
    [
        ("jane@lbl.gov", ["jane@lbl.gov"]),
        ("a@b.org, c@d.org", ["a@b.org", "c@d.org"]),
        ("a@b.org; a@b.org", ["a@b.org"]),
        ("Jane Doe <jane.doe@lbl.gov>", ["jane.doe@lbl.gov"]),
        ("o'brien@lbl.gov", ["o'brien@lbl.gov"]),
        ("jane@localhost", []),
        ("jane@lbl.g", []),
        ("jane@@lbl.gov", []),
        ("jane.@lbl.gov", []),
        ("jane@-lbl.gov", []),
        ("jane@lbl..gov", []),
        ("jané@lbl.gov", []),
        ("@lbl.gov", []),
        ("x" * 65 + "@lbl.gov", []),
        ("a@" + "b." * 130 + "org", []),
        ("none", []),
        (None, []),
    ],
)
def test_email_addresses(written: object, addresses: list[str]) -> None:
    assert clean.email_addresses(written) == addresses


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("20240101_120000_Sample_A_x10.h5", ["sample", "a", "x10"]),
        ("20240101120000-rock.h5", ["rock"]),
        ("20240101_1200_rock", ["rock"]),
        ("rock rock Rock", ["rock"]),
        ("20240101_120000_.h5", []),
        ("grün_Äpfel", ["grün", "äpfel"]),
        ("123456789012_rock", ["rock"]),
        ("20240101_120000", []),
        ("", []),
    ],
)
def test_words_of_a_scan_name(name: str, words: list[str]) -> None:
    assert clean.words_of(name) == words


def test_words_are_limited() -> None:
    assert len(clean.words_of(" ".join(f"w{i}" for i in range(100)))) == clean.MAX_KEYWORDS


@pytest.mark.parametrize(
    ("key", "cleaned"),
    [
        ("/measurement/instrument/a.b", "/measurement/instrument/a.b"),
        ("100%", "100_"),
        ("a%20b", "a_20b"),
        ("$set", "_set"),
        ("__proto__", "_proto__"),
        ("a\0b\nc", "abc"),
        ("", "_"),
        (3, "3"),
        ("k" * 600, "k" * 500),
    ],
)
def test_metadata_key(key: object, cleaned: str) -> None:
    assert clean.metadata_key(key) == cleaned


@given(st.text())
def test_any_key_comes_back_from_scicat(text: str) -> None:
    """SciCat URL-decodes the keys that it shows."""
    key = clean.metadata_key(text)
    assert key
    assert unquote(key) == key
    assert not key.startswith("$")
    assert clean.metadata_key(key) == key


@given(st.one_of(st.text(), st.emails()))
def test_addresses_survive_scicats_validation(text: str) -> None:
    """Every address found satisfies the rules of SciCat's validator, written down independently."""
    for address in clean.email_addresses(text):
        local, _, domain = address.rpartition("@")
        assert 1 <= len(local) <= 64
        assert len(address) <= 254
        assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}", domain)
        assert not re.search(r"^\.|\.$|\.\.|[\s,;<>()\"\\]", local)
