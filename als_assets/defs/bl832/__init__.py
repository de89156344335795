"""Beamline 8.3.2 in Dagster: its assets, jobs and sensors.

Here: one module for each kind of definition. Not here: definitions shared by all beamlines (``defs/retention``, ``defs/health``).
"""
