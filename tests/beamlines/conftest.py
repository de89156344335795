"""Hypothesis for the beamlines' tests. Here: how patient it is. Not here: fixtures, or any promise."""

from __future__ import annotations

import hypothesis

# The machine may be busy: how long an example takes says nothing.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
