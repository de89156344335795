"""Secrets are named, never written; they are read when needed, and never appear in a message.

Here: pasted secrets in many forms, and the files and variables that hold them. Not here: what they are used for.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from facility_kit import text

from als_assets.errors import ConfigError, SecretUnavailable
from als_assets.facility import load_facility
from als_assets.facility.secrets import SecretRef, find_pasted_secret

SECRET = "kJ8vQx2mZr7Lw0Tt"
JWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sig"
REFERENCE = "client_secret: {file: secrets/mover}"

PASTED = [
    f"client_secret: {SECRET}",
    f"client_secret: '{SECRET}'",
    f'client_secret: "{SECRET}"',
    f"client_secret:    {SECRET}  # temporary",
    f"{REFERENCE}  # old secret: {SECRET}",
    f"{REFERENCE}\n    # password = {SECRET}",
    f"client_secret: {{value: {SECRET}}}",
    f"client_secret: {{file: {{secret: {SECRET}}}}}",
    f"client_secret: [{SECRET}]",
    f"client_secret: !!str {SECRET}",
    f"client_secret: |\n      {SECRET}",
    f"client_secret: >-\n      {SECRET}",
    f"client_secret:\n      {SECRET}",
    f"client_secret: {{file: secrets/mover, password: {SECRET}}}",
    f"client_secret: {{env: {SECRET}}}",
    f"{REFERENCE}\n    Password: {SECRET}",
    f"{REFERENCE}\n    access_token: {SECRET}",
    f"{REFERENCE}\n    refresh_token={SECRET}",
    f'{REFERENCE}\n    "private_key": "{SECRET}"',
    f"{REFERENCE}\n    note: {JWT}{SECRET}",
    f'{REFERENCE}\n    key: {{"kty": "RSA", "d": "{SECRET}"}}',
    f"{REFERENCE}\n    key: {{kty: RSA, d: {SECRET}}}",
    f"{REFERENCE}\n    key: |\n      -----BEGIN RSA PRIVATE KEY-----\n      {SECRET}",
    f"{REFERENCE}\n    key: |\n      -----BEGIN PRIVATE KEY-----\n      {SECRET}",
    f"{REFERENCE}\n    x: {{token_url: 'https://a.example.org', secret: {SECRET}}}",
    f"{REFERENCE}\n    broken: [\n    password: {SECRET}",
]


@pytest.mark.parametrize("pasted", PASTED)
def test_a_pasted_secret_is_refused_and_not_repeated(tmp_path: Path, pasted: str) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(text().replace(REFERENCE, pasted))
    with pytest.raises(ConfigError) as caught:
        load_facility(path)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.details) + caught.value.next_step
    assert f"{path}, line " in caught.value.sentence
    assert SECRET not in shown and JWT not in shown


@pytest.mark.parametrize("address", [f"https://als:{SECRET}@api.example.org/api", f"https://{SECRET}:x@api.example.org"])
def test_a_secret_in_an_address_is_refused(spoil: Callable[[str, str], ConfigError], address: str) -> None:
    complaint = spoil("https://api.example.org/api", address)
    assert "secret" in complaint.sentence and SECRET not in complaint.sentence


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("a: 1\nb: 2\npassword: abcdefghij", 3),
        ("client_secret: {file: /etc/als-assets/globus-mover}", None),
        ("token_url: https://oidc.nersc.gov/c2id/token", None),
        ("# Secrets are named here, never written here.", None),
        ("password: {env: ALS_PASSWORD_VARIABLE}", None),
    ],
)
def test_only_values_are_found(line: str, number: int | None) -> None:
    assert find_pasted_secret(line) == number


class TestReading:
    def test_a_private_file_is_read_without_its_white_space(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_text(f"  {SECRET}\n")
        path.chmod(0o600)
        assert SecretRef(file=path).read() == SECRET
        path.chmod(0o400)
        assert SecretRef(file=path).read() == SECRET

    def test_it_is_read_anew_each_time(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        reference = SecretRef(file=path)
        for value in ("first-value", "rotated-value"):
            path.write_text(value)
            path.chmod(0o600)
            assert reference.read() == value

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
    def test_a_file_that_others_may_touch_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "s"
        path.write_text(SECRET)
        path.chmod(mode)
        with pytest.raises(SecretUnavailable, match="can be read by other accounts") as caught:
            SecretRef(file=path).read()
        assert f"{mode:04o}" in caught.value.sentence
        assert caught.value.next_step == f"Run: chmod 600 {path}"
        assert SECRET not in str(caught.value)

    def test_an_absent_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SecretUnavailable, match=r"absent cannot be read: No such file"):
            SecretRef(file=tmp_path / "absent").read()

    def test_a_folder_is_no_secret(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        with pytest.raises(SecretUnavailable, match="cannot be read: Is a directory"):
            SecretRef(file=tmp_path).read()

    def test_a_file_that_is_no_text_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_bytes(b"\xff\xfe\x00")
        path.chmod(0o600)
        with pytest.raises(SecretUnavailable, match="is not text"):
            SecretRef(file=path).read()

    @pytest.mark.parametrize("content", ["", " \n\t"])
    def test_an_empty_file_is_named(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "s"
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(SecretUnavailable, match=r"The secret file .*/s is empty or not set"):
            SecretRef(file=path).read()

    def test_a_variable_is_read_or_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reference = SecretRef(env="BOX_SECRET")
        monkeypatch.setenv("BOX_SECRET", SECRET)
        assert reference.read() == SECRET
        for action in (lambda: monkeypatch.setenv("BOX_SECRET", ""), lambda: monkeypatch.delenv("BOX_SECRET")):
            action()
            with pytest.raises(SecretUnavailable, match="variable BOX_SECRET is empty or not set"):
                reference.read()

    def test_a_reference_shows_the_place_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "s"
        path.write_text(SECRET)
        path.chmod(0o600)
        monkeypatch.setenv("BOX_SECRET", SECRET)
        for reference in (SecretRef(file=path), SecretRef(env="BOX_SECRET")):
            reference.read()
            assert SECRET not in f"{reference} {reference!r} {reference.model_dump()}"
