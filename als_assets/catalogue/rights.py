"""Which SciCat answers, and what each of our accounts may do there, in words of what is missing.

Here: the questions, none of which changes a record of data; one small test record is written where it is allowed, because SciCat tells
some rights only by granting them. Not here: printing (``cli.scicat``). Sources: routes and rights of backends 4.27 to 5.2.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from als_assets.catalogue.accounts import Accounts
from als_assets.catalogue.calls import DatasetCalls
from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.model import NAMESPACE, Json, iso
from als_assets.errors import AlsError, CatalogueConflict, CatalogueError, CatalogueRefused, CredentialsRejected, ServiceUnreachable

TEST_NAME = "als-assets-check"
_VERSION_UNKNOWN = "unknown: SciCat tells no version, and its answers do not show it"
_GRANT = {
    "create": "SciCat must list a group of this account in CREATE_DATASET_PRIVILEGED_GROUPS",
    "read back": "the account must be in the group that scicat.ingest_group of the facility file names",
    "lifecycle": "SciCat must list a group of scicat.lifecycle_identity in UPDATE_DATASET_LIFECYCLE_GROUPS or ADMIN_GROUPS",
    "change": "scicat.lifecycle_identity must be an admin of SciCat (ADMIN_GROUPS) to change records of proposals",
    "delete": "not needed; SciCat lists the groups that may delete in DELETE_GROUPS",
}


@dataclass(frozen=True)
class Right:
    """``held`` is None where it could not be learnt. ``needed``: without it something of the platform does not work."""

    name: str
    held: bool | None
    words: str
    needed: bool = True

    @property
    def missing(self) -> bool:
        return self.needed and self.held is False


@dataclass
class AccountReport:
    """One account: its ``role``, and each right."""

    role: str
    username: str
    logged_in: bool = False
    groups: list[str] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)


@dataclass(frozen=True)
class CheckReport:
    """What was found; ``problems`` are sentences, none if everything needed is there."""

    api_url: str
    version: str
    accounts: list[AccountReport]
    problems: list[str]

    def to_json(self) -> Json:
        return asdict(self)


def check_rights(accounts: Accounts, *, write: bool) -> CheckReport:
    """Look at SciCat with both accounts. ``write``: also write, change and delete the test record.

    Raises ServiceUnreachable: SciCat does not answer, so nothing can be said. A login that is refused is a problem in the report.
    """
    ingest = AccountReport("ingest", accounts.ingest.settings.username)
    reports, problems = [ingest], _log_in(accounts.ingest, ingest)
    if ingest.logged_in:
        ingest.rights.append(_may_create(accounts.ingest))
    changing, client = ingest, accounts.ingest
    if accounts.lifecycle is not None:
        changing, client = AccountReport("lifecycle", accounts.lifecycle.settings.username), accounts.lifecycle
        problems += _log_in(client, changing)
        reports.append(changing)
    if write and ingest.logged_in and ingest.rights[0].held:
        _with_test_record(accounts.ingest, ingest, client if changing.logged_in else None, changing)
    problems += [f"{r.role} ({r.username}): {right.name} - {right.words}" for r in reports for right in r.rights if right.missing]
    version = _version(accounts.ingest) if ingest.logged_in else "unknown: nobody could log in"
    return CheckReport(accounts.ingest.settings.api("v3"), version, reports, problems)


def _log_in(client: CatalogueClient, report: AccountReport) -> list[str]:
    try:
        client.whoami()
    except CredentialsRejected as refused:
        return [f"{report.role} ({report.username}): log in - {refused.sentence}"]
    report.logged_in = True
    report.groups = _groups(client)
    return []


def _groups(client: CatalogueClient) -> list[str]:
    """The account's groups where SciCat tells them."""
    try:
        identity = client.request("GET", "users/my/identity", "show our groups") or {}
    except CatalogueError:
        return []
    profile = identity.get("profile") or {}
    groups = profile.get("accessGroups") or identity.get("accessGroups") or []
    return sorted(str(group) for group in groups)


def pid_of_test_record(prefix: str, ingest_group: str) -> str:
    """The identifier of the test record: shaped like those of scans, because a site may have a rule for them, and another one for
    another group, which is another question."""
    return f"{prefix}/{uuid.uuid5(NAMESPACE, f'{TEST_NAME}|{ingest_group}')}"


def _test_body(client: CatalogueClient) -> Json:
    """A record of no data that belongs to nobody's group, so that no right follows from owning it."""
    records = client.settings.records
    return {
        "pid": pid_of_test_record(records.pid_prefix, records.ingest_group),
        "type": "raw",
        "datasetName": TEST_NAME,
        "description": "Test record of als-assets. It holds no data and may be deleted.",
        "owner": TEST_NAME,
        "principalInvestigator": TEST_NAME,
        "ownerGroup": TEST_NAME,
        "accessGroups": [records.ingest_group, records.staff_group],
        "contactEmail": records.fallback_contact,
        "creationLocation": TEST_NAME,
        "creationTime": iso(datetime(2026, 1, 1, tzinfo=UTC)),
        "sourceFolder": f"/{TEST_NAME}",
        "scientificMetadata": {"purpose": "rights"},
    }


def _may_create(client: CatalogueClient) -> Right:
    """SciCat validates a record without storing it, and looks at the rights first."""
    body = {**_test_body(client), "pid": f"{client.settings.records.pid_prefix}/{uuid.uuid4()}"}
    try:
        answer = client.request("POST", "datasets/isValid", "validate a record", body=body) or {}
    except CatalogueRefused as refused:
        if refused.details.get("status") == 403:
            return Right("create", False, _GRANT["create"])
        return Right("create", False, refused.sentence)
    if answer.get("valid") is False:
        return Right("create", False, f"SciCat would refuse our records: {answer.get('error') or answer.get('reason')}")
    return Right("create", True, "records for any group, under our own identifiers")


def _with_test_record(ingest: CatalogueClient, report: AccountReport, changer: CatalogueClient | None, changing: AccountReport) -> None:
    body = _test_body(ingest)
    calls = DatasetCalls(ingest, TEST_NAME, body["pid"])
    try:
        with suppress(CatalogueConflict):  # with the record of an earlier check that could not delete it
            calls.create(body)
    except AlsError as error:
        report.rights[0] = Right("create", False, error.sentence)
        return
    report.rights.append(_tried("read back", lambda: _read(calls), "what it wrote"))
    if changer is None:
        return
    theirs = DatasetCalls(changer, TEST_NAME, body["pid"])
    changing.rights += [
        _tried("lifecycle", lambda: theirs.patch_lifecycle({"archivable": True}), "where the data of any record is"),
        _tried("change", lambda: theirs.patch({"description": body["description"]}), "records of any group"),
        _tried("delete", theirs.delete, "the test record, which is gone again", needed=False),
    ]


def _read(calls: DatasetCalls) -> None:
    if calls.get() is None:
        raise CatalogueRefused("SciCat does not show the record that was written.", next_step=_GRANT["read back"])


def _tried(name: str, act: Callable[[], Any], words: str, *, needed: bool = True) -> Right:
    try:
        act()
    except (CatalogueRefused, CredentialsRejected, CatalogueConflict):
        return Right(name, False, _GRANT[name], needed)
    except ServiceUnreachable as error:
        return Right(name, None, error.sentence, needed)
    return Right(name, True, words, needed)


def _version(client: CatalogueClient) -> str:
    """SciCat tells no version, but it validates differently: an empty group is refused since 5.2, and what a relationship holds has other
    names since 4.28. Nothing is written."""
    if _accepts(client, {"ownerGroup": ""}) is False:
        return "5.2 or newer, by its answers (SciCat tells no version)"
    accepts_old = _accepts(client, {"relationships": [{"pid": TEST_NAME, "relationship": TEST_NAME}]})
    if accepts_old is None:
        return _VERSION_UNKNOWN
    return f"{'4.27 or older' if accepts_old else '4.28 to 5.1'}, by its answers (SciCat tells no version)"


def _accepts(client: CatalogueClient, changes: Json) -> bool | None:
    """Whether SciCat would accept a record with these changes; None where it does not say."""
    body = {**_test_body(client), "pid": f"{client.settings.records.pid_prefix}/{uuid.uuid4()}", **changes}
    try:
        answer = client.request("POST", "datasets/isValid", "ask for SciCat's version", body=body) or {}
    except (CatalogueError, ServiceUnreachable):
        return None
    return bool(answer["valid"]) if "valid" in answer else None
