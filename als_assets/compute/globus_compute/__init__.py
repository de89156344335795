"""ALCF: jobs by way of Globus Compute, over its REST interface.

Here: the transport, its client, and the function that runs at the site. Not here: what a job is (``compute.spec``).
"""
