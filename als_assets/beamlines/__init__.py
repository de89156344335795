"""What a beamline's data is: its names, its files, and whether a file is complete.

Here: one package for each beamline behind the ``Beamline`` protocol of ``base``, dataset keys and the rule of stability.
Not here: Dagster, the network, moving bytes, or anything that outlives one look at one file.
"""
