"""The one tree of errors of the platform.

Here: every exception that production code raises on purpose; each names the thing, the reason and the next step, and has a
page in ``docs/errors/`` (a test holds the two together). Not here: catching, logging or retrying, and the errors of
``recon``, which runs alone at the sites and has a tree of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def _slug(class_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


class AlsError(Exception):
    """Base of all errors. ``str()`` is one sentence fit for staff; ``next_step`` says what to do about it.

    ``details`` are extra facts (numbers, ids, a link); they are shown in tables, so never put a secret there.
    """

    def __init__(self, sentence: str, *, next_step: str, **details: object) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.details = details

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.page = _slug(cls.__name__)

    page: str = "als-error"

    @classmethod
    def tree(cls) -> Iterator[type[AlsError]]:
        """This class and all its descendants, for the documentation test."""
        yield cls
        for child in cls.__subclasses__():
            yield from child.tree()


# --- shared by several rooms -------------------------------------------------------------------------------------------


class ConfigError(AlsError):
    """A configuration file is wrong: the sentence holds file, line and reason."""


class SecretUnavailable(ConfigError):
    """A secret's file or variable is missing, empty or readable by others."""


class CredentialsRejected(AlsError):
    """A service refused our identity: wrong, rotated or expired secret."""


class ServiceUnreachable(AlsError):
    """A service did not answer, or answered with an outage. Says nothing about the job or copy itself."""


class LocationAway(ServiceUnreachable):
    """The root of a location is missing or empty, as that of a disk that is not mounted. Says nothing about any copy there."""


class ExportRefused(AlsError):
    """A dataset that must stay at ALS was about to leave. The request was not sent."""


class PathOutsideLocation(AlsError):
    """A path from outside would leave the root of its location."""


# --- beamlines: what is wrong with a scan file -------------------------------------------------------------------------


class ScanError(AlsError):
    """Base: a scan file cannot be admitted."""


class ScanStillWriting(ScanError):
    """Size or mtime still change, or the file is open in its writer. Not a fault: wait."""


class ScanUnreadable(ScanError):
    """The file is missing or cannot be opened by this account."""


class ScanEmpty(ScanError):
    """The file has no bytes."""


class ScanNotHdf5(ScanError):
    """The file is not an HDF5 file."""


class ScanTruncated(ScanError):
    """The HDF5 file ends before its data, or fewer frames were written than announced."""


class ScanFieldMissing(ScanError):
    """A field that the layout demands (flats, darks, angles, pixel size, ...) is absent."""


class ScanShapeMismatch(ScanError):
    """Shapes or counts of frames, angles, flats and darks do not fit together."""


class ScanNotFinite(ScanError):
    """A number that the reconstruction needs is NaN or infinite."""


# --- ledger ------------------------------------------------------------------------------------------------------------


class LedgerError(AlsError):
    """Base: the record refuses."""


class DatasetUnknown(LedgerError):
    """No dataset with that key was ever admitted."""


class IllegalTransition(LedgerError):
    """A replica or an operation cannot go from this state to that one."""


class HeldElsewhere(LedgerError):
    """Another living run works on this operation."""


class LeaseLost(LedgerError):
    """Another run has taken this operation over (a higher fencing number): leave it alone."""


# --- transfer ----------------------------------------------------------------------------------------------------------


class TransferError(AlsError):
    """Base: bytes did not arrive, or not provably."""


class TransferFailed(TransferError):
    """The mover ended the task as failed."""


class TransferNeedsPerson(TransferError):
    """The mover suspended the task (INACTIVE, paused): somebody must act; the task is kept."""


class CollectionResting(TransferError):
    """A collection failed several times in a row: no new task is sent to it for a while. The work is kept and tried again."""


class TransferDamaged(TransferError):
    """Checksums keep disagreeing after the copy: the path damages bytes. The task was cancelled."""


class TransferStateUnknown(TransferError):
    """The mover reports a state that we do not know. Unknown is never success."""


class CopyMismatch(TransferError):
    """The copy at the destination is not what was sent (size, files or checksum)."""


class NoVerifiedSource(TransferError):
    """No verified copy exists to copy from."""


class DeleteFailed(TransferError):
    """The mover could not delete what it was asked to delete."""


# --- compute -----------------------------------------------------------------------------------------------------------


class JobError(AlsError):
    """Base: a job did not produce its result. ``report`` in ``details`` holds all that is known."""


class JobRefused(JobError):
    """The scheduler refused the job script."""


class SiteNotReady(JobRefused):
    """The check of a site before its first job of a shift found something missing, or never came back. No job was sent."""


class JobFailed(JobError):
    """The job ended and failed: exit code, node failure, time limit, memory."""


class JobLost(JobError):
    """The scheduler does not know the job any more, and it left no result."""


class BadOutput(JobError):
    """The job says it succeeded, but its output is missing or incomplete."""


class NoSiteAvailable(JobError):
    """No site can take the job now (switched off, down, or not allowed for this scan)."""


# --- catalogue ---------------------------------------------------------------------------------------------------------


class CatalogueError(AlsError):
    """Base: SciCat and we disagree."""


class RecordInvalid(CatalogueError):
    """The record would be refused (a mandatory field is missing or malformed); nothing was written."""


class CatalogueRefused(CatalogueError):
    """SciCat refused the request: missing right, or a record it does not accept."""


class CatalogueFailed(CatalogueError):
    """SciCat fails on this one record (500) while it answers everything else. Waiting does not help."""


class CatalogueConflict(CatalogueError):
    """A record with our identifier exists, but it is not ours to change."""


# --- retention ---------------------------------------------------------------------------------------------------------


class RetentionError(AlsError):
    """Base: a deletion was not carried out."""


class PruneBlocked(RetentionError):
    """The evidence that other copies exist did not hold when it was re-checked. Nothing was deleted."""
