"""Jobs: submitted once, followed to the truth, and explained.

Here: what a job is, its script, its report, and the transports to the sites. Not here: the numerical programs (``recon``) and the
staging of raw files (``transfer``).
"""

from als_assets.compute.report import JobReport
from als_assets.compute.service import ComputeService, ProductReceipt
from als_assets.compute.spec import JobSpec

__all__ = ["ComputeService", "JobReport", "JobSpec", "ProductReceipt"]
