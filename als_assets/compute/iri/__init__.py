"""OLCF, and any other facility of the Integrated Research Infrastructure: jobs over the IRI API.

Here: the transport, its requests, tokens and files. Not here: what a job is (``compute.spec``).
"""
