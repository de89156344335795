"""A simulated month of retention: thousands of scans, faults at random, pruning on, and the clock in a hurry.

Here: a world of places and bytes inside this process, the laboratory that drives the real record, transfers and retention in it, and
the checks. Not here: the simulated facility over HTTP (``simulator``), which would take a hundred times as long for the same questions;
what HTTP adds is tested there.
"""

from als_assets.soak.lab import Lab
from als_assets.soak.month import Month, Summary, run_month, run_months

__all__ = ["Lab", "Month", "Summary", "run_month", "run_months"]
