"""A manifest comes back as it was stored, is small, and says in words what differs.

Here: the value. Not here: listing files.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.ledger import Entry, Manifest

paths = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
times = st.none() | st.integers(0, 2**40)
sums = st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)
manifests = st.lists(st.builds(Entry, paths, st.integers(0, 2**62), sums, times), max_size=20, unique_by=lambda e: e.path).map(Manifest.of)


@given(manifests)
def test_what_is_packed_is_unpacked(manifest: Manifest) -> None:
    again = Manifest.unpack(manifest.pack())
    assert again == manifest
    assert (again.files, again.size_bytes) == (len(manifest.entries), sum(e.size_bytes for e in manifest.entries))
    assert [e.path for e in again.entries] == sorted(e.path for e in manifest.entries)


@given(manifests, st.dictionaries(paths, st.integers(0, 2**62), max_size=5), st.sets(paths, max_size=3))
def test_differences_are_empty_only_for_the_same_files(manifest: Manifest, changed: dict[str, int], dropped: set[str]) -> None:
    wanted = {e.path: e.size_bytes for e in manifest.entries}
    found = {path: size for path, size in {**wanted, **changed}.items() if path not in dropped}
    assert (manifest.differences(found) == []) == (found == wanted)
    assert manifest.differences(wanted) == []


def test_ten_thousand_files_are_compact() -> None:
    stack = Manifest.of(Entry(f"sand_{i:05d}.tiff", 26_214_656) for i in range(10_000))
    assert len(stack.pack()) < 100_000
    assert Manifest.unpack(stack.pack()) == stack
    assert stack.size_bytes == 262_146_560_000


def test_sums_are_kept_where_they_are_known() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    mixed = Manifest.of([Entry("a", 1, digest), Entry("b", 2)])
    assert [e.sha256 for e in Manifest.unpack(mixed.pack()).entries] == [digest, None]


def test_a_single_file() -> None:
    single = Manifest.single(12, "f" * 64)
    assert single.is_single_file and single.files == 1 and single.entries[0].sha256 == "f" * 64
    assert not Manifest.of([Entry("a", 1)]).is_single_file
    assert not Manifest.of([Entry("", 1), Entry("a", 1)]).is_single_file and not Manifest.of([]).is_single_file


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, ["'a' is missing", "'b' is missing"]),
        ({"a": 1, "b": 0}, ["'b' has 0 bytes instead of 2"]),
        ({"a": 1, "b": 2, "c": 3}, ["'c' does not belong there"]),
        ({"b": 3, "c": 3}, ["'a' is missing", "'b' has 3 bytes instead of 2", "'c' does not belong there"]),
    ],
)
def test_differences_in_words(found: dict[str, int], words: list[str]) -> None:
    assert Manifest.of([Entry("a", 1), Entry("b", 2)]).differences(found) == words


def test_differences_of_a_single_file() -> None:
    assert Manifest.single(5).differences({"": 0}) == ["the file has 0 bytes instead of 5"]
    assert Manifest.single(5).differences({"x": 5}) == ["the file is missing", "'x' does not belong there"]


def test_many_differences_are_cut_short() -> None:
    wrong = Manifest.of(Entry(f"{i:03d}", 1) for i in range(100)).differences({})
    assert len(wrong) == 6 and wrong[-1] == "and 95 more"
    assert len(Manifest.of(Entry(f"{i}", 1) for i in range(5)).differences({})) == 5
