"""The demo: the simulated facility, Dagster and the board as real processes, three scans, and a table of what became of them.

Here: starting, following, showing. Not here: anything that production uses; only the command line imports this room.
"""
