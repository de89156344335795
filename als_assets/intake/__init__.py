"""Taking in new scans: from a file that appeared to a dataset on record, and the decision what is done with it.

Here: admission (``admit``) and dispatch (``dispatch``). Not here: Dagster; its sensor and the command line both call this room.
"""

from als_assets.intake.admit import Intake, Refusal
from als_assets.intake.dispatch import Decision, decide

__all__ = ["Decision", "Intake", "Refusal", "decide"]
