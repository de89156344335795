"""NERSC: jobs over the Superfacility API.

Here: the transport and its requests. Not here: what a job is (``compute.spec``).
"""
