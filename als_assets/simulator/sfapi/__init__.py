"""NERSC's Superfacility API over directories and processes of this machine.

Here: the token endpoint, system status, accounts, utilities and batch jobs, as the API's version 1.2 shows them. Not here: a
scheduler's policies (accounts, qualities of service and priorities are recorded, never enforced).
"""
