"""The multi-resolution volume: OME-Zarr stores, from a stack of TIFF files or straight from the reconstruction's memory.

Here: levels, formats, and stores that survive a kill. Not here: reconstructing slices, and showing a volume.
"""
