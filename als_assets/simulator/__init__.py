"""The facility in a box: Globus Auth and Transfer, NERSC SFAPI and SciCat on one loopback port.

Here: the services, with real bytes, real job processes and injectable faults, for tests and the demo. Not here: anything that
production code imports, and any wire shape that only the simulator would accept; start it with ``server.Simulator`` or
``python -m als_assets.simulator``.
"""
