"""What is wrong for all scans at once: settings that cannot be used, an identity that Globus rejects, collections that rest.

Here: a sentence for each, from the settings files and the record. Not here: what is wrong with one scan (``verdict``), and requests to
anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from als_assets.errors import ConfigError
from als_assets.facility import Facility
from als_assets.facility.load import load_model
from als_assets.facility.settings import Settings
from als_assets.ledger import Ledger
from als_assets.transfer.breaker import Breaker
from als_assets.transfer.health import identities_health


@dataclass(frozen=True)
class Alarm:
    """One card. ``look`` is bad where a person must act, else quiet."""

    title: str
    sentence: str
    next_step: str
    look: str = "bad"


def alarms_of(facility: Facility, ledger: Ledger) -> list[Alarm]:
    """Those that need a person first."""
    return [*_settings(facility), *_identities(facility, ledger), *_resting(facility, ledger)]


def _settings(facility: Facility) -> list[Alarm]:
    """Settings files that cannot be used as they stand: the last good ones are in force, and somebody should know."""
    found = []
    for setup in facility.beamlines.values():
        try:
            load_model(setup.settings, Settings)
        except ConfigError as error:
            words = f"The last good settings stay in force, if there ever were any. {error.sentence}"
            found.append(Alarm("A settings file cannot be used", words, error.next_step))
    return found


def _identities(facility: Facility, ledger: Ledger) -> list[Alarm]:
    return [
        Alarm(
            "Globus does not accept us",
            f"{health.sentence} Acts that wait for it: {health.waiting}; nothing of them is lost.",
            health.next_step,
        )
        for health in identities_health(facility, ledger)
        if not health.ok
    ]


def _resting(facility: Facility, ledger: Ledger) -> list[Alarm]:
    breaker, now = Breaker(facility, ledger), ledger.clock()
    after = "Nothing: copies wait and go on by themselves. When it lasts longer than the site has announced, ask the collection's manager."
    return [
        Alarm("A collection is given a rest", breaker.sentence(rest), after, "quiet")
        for _, rest in sorted(breaker.rests().items())
        if rest.until > now
    ]
