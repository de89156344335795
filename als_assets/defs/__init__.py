"""Dagster, and only here: assets, jobs, sensors, schedules and resources, thin over the domain.

Here: naming what must exist, asking the domain for it, showing its receipt. Not here: any rule about copies, jobs or records.
"""
