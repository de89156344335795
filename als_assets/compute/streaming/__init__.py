"""A service that reconstructs while the scan is taken: its session, from the start of its job to its verified end.

Here: the session's stages, its script and its service. Not here: jobs of scans (``compute.service``).
"""
