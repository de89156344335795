"""What people look at before a full reconstruction: previews, contact sheets of centres, and sweeps of a parameter.

Here: a few slices and pictures of them. Not here: the full stack and its volume.
"""
