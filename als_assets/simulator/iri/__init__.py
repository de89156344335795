"""The DOE IRI Facility API over directories and jobs of this machine, version 1 and 2, for any number of facilities.

Here: a personality with everything that the platform and its oracles ask for, and OLCF's subset (facility, status and compute). Not
here: routes that nobody has needed yet; like all such requests they are answered loudly with 501.
Source: https://github.com/doe-iri/iri-facility-api-docs and the reference server iri-facility-api-python.
"""
