"""Whose a record is and who may see it, from what is written in the scan file.

Here: owner, investigator, contact, proposal and groups, cleaned up, and what was written where that differs. Not here: the clean-ups
themselves (``clean``) and the other fields of a record (``records``).
"""

from __future__ import annotations

from dataclasses import dataclass

from als_assets.beamlines.base import CatalogueFields
from als_assets.catalogue import clean
from als_assets.catalogue.model import Issue, warn
from als_assets.catalogue.settings import RecordSettings

UNKNOWN = "Unknown"


@dataclass(frozen=True)
class People:
    investigator: str
    contact: str
    proposal: str | None
    owner_group: str
    access_groups: list[str]
    as_written: dict[str, str]


def people_of(settings: RecordSettings, fields: CatalogueFields, issues: list[Issue]) -> People:
    as_written: dict[str, str] = {}
    proposal = clean.group_name(fields.proposal)
    owner_group = proposal or settings.staff_group
    if proposal is None:
        warn(issues, "ownerGroup", f"The proposal {fields.proposal!r} is not usable; the record belongs to {owner_group}")
    groups = clean.beamline_groups(fields.beamline, settings.beamline_aliases)
    addresses = clean.email_addresses(fields.email)
    if not addresses:
        warn(issues, "contactEmail", f"No usable address in {fields.email!r}; {settings.fallback_contact} is given")
    contact = "; ".join(addresses) or settings.fallback_contact
    if not all(clean.is_email(part.strip()) for part in contact.split(";")):
        issues.append(Issue("error", "contactEmail", f"The fallback contact {contact!r} is no e-mail address"))
    for name, written, used in (
        ("proposal", fields.proposal, proposal),
        ("beamline", fields.beamline, fields.beamline if str(fields.beamline) in _known(settings) else None),
        ("email", fields.email, contact),
    ):
        if isinstance(written, str) and written and written != used:
            as_written[name] = written
    return People(
        investigator=or_unknown(fields.investigator, "principalInvestigator", issues),
        contact=contact,
        proposal=proposal,
        owner_group=owner_group,
        access_groups=clean.unique([*groups, settings.staff_group, settings.ingest_group]),
        as_written=as_written,
    )


def _known(settings: RecordSettings) -> set[str]:
    return {*settings.beamline_aliases, *settings.beamline_aliases.values()}


def or_unknown(value: object, field: str, issues: list[Issue]) -> str:
    text = clean.text_or_none(value)
    if text is None:
        warn(issues, field, f"{field} is not in the file; {UNKNOWN!r} is given")
    return (text or UNKNOWN)[:200]
