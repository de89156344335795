"""Tomographic reconstruction, preview and multi-resolution images, runnable alone where the data is.

Here: everything behind ``python -m als_assets.recon``, with its own errors and parameters, on plain files and directories.
What belongs here is numerical work on one scan. Not here: copies, jobs, catalogues and any import of the rest of the platform.
"""

CONTRACT_VERSION = 1
