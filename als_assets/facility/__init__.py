"""The facility: typed configuration of sites, locations, identities, services and policies.

Here: the models, their loading from YAML with file and line in every complaint, lazily read secrets, the export gate, and
the settings that staff edit. Not here: network requests, state, anything of one run.
"""

from als_assets.facility.blanks import not_set_up
from als_assets.facility.load import load_facility
from als_assets.facility.models import Facility, Location, Site
from als_assets.facility.places import Place
from als_assets.facility.policy import ExportGate, Release

__all__ = ["ExportGate", "Facility", "Location", "Place", "Release", "Site", "load_facility", "not_set_up"]
