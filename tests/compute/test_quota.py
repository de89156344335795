"""What Lustre says of a quota, in every form that its man page knows."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from als_assets.compute.quota import Quota, quota_command, read_quota

SCRATCH = PurePosixPath("/pscratch")
KIB, TB = 1024, 10**12


@pytest.mark.parametrize(
    ("answer", "used", "most", "files", "most_files"),
    [
        ("       /pscratch  1000  2000  3000  -  7  10  20  -\n", 1000, 2000, 7, 10),
        ("/a/long/mount/point\n   1000  2000  3000  -  7  10  20  -\n", 1000, 2000, 7, 10),
        ("  /pscratch  2500*  2000  3000  6d23h44m35s  12*  10  20  none\n", 2500, 2000, 12, 10),
        ("  /pscratch  [1000]  2000  3000  -  7  10  20  -\nSome errors happened when getting quota info.\n", 1000, 2000, 7, 10),
        ("  /pscratch  1000  0  3000  -  7  0  20  -\nuid 1 is using default block quota setting\n", 1000, 3000, 7, 20),
        ("  /pscratch  1000  0  0  -  7  0  0  -\n", 1000, 0, 7, 0),
    ],
)
def test_an_answer(answer: str, used: int, most: int, files: int, most_files: int) -> None:
    assert read_quota(SCRATCH, answer) == Quota("/pscratch", used * KIB, most * KIB, files, most_files)


@pytest.mark.parametrize("answer", ["", "bash: lfs: command not found", "/pscratch 1 2 3", "/pscratch a b c d e f g h"])
def test_what_is_no_answer(answer: str) -> None:
    assert read_quota(SCRATCH, answer) is None


@pytest.mark.parametrize(
    ("quota", "full"),
    [
        (Quota("/s", 94 * TB, 100 * TB, 0, 0), False),
        (Quota("/s", 95 * TB, 100 * TB, 0, 0), True),
        (Quota("/s", 0, 100 * TB, 96, 100), True),
        (Quota("/s", 10**18, 0, 10**9, 0), False),
    ],
)
def test_when_it_is_full(quota: Quota, full: bool) -> None:
    assert quota.full is full


def test_without_limits_it_says_so() -> None:
    assert Quota("/s", 1, 0, 1, 0).sentence == "There is no quota at /s."


def test_a_path_is_only_a_path() -> None:
    assert quota_command(PurePosixPath("/a b; rm")) == "lfs quota -q -u \"$(id -un)\" '/a b; rm'"
