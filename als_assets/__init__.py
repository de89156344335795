"""als-assets: the data platform of ALS beamline 8.3.2. It promises the truth about every copy and every job.

Here: the rooms described in ``docs/developers/structure.md``. Not here: any code at import time.
"""

__version__ = "0.1.0"
