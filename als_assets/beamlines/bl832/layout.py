"""The HDF5 layout of an 8.3.2 scan as a table: which field is where, of which kind, in which unit.

Here: paths and kinds, nothing else; the source is the writer at the beamline and the files it makes. Not here: reading,
writing, or what the catalogue calls a field.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

DATA = "/exchange/data"
WHITE = "/exchange/data_white"
DARK = "/exchange/data_dark"
THETA = "/exchange/theta"
THETA_WHITE = "/exchange/theta_white"
THETA_DARK = "/exchange/theta_dark"

INSTRUMENT = "/measurement/instrument"
DETECTOR = f"{INSTRUMENT}/detector"
EXPERIMENT = "/measurement/sample/experiment"
ACQUISITION = "/process/acquisition"
ROTATION = f"{ACQUISITION}/rotation"
FLATS = f"{ACQUISITION}/flat_fields"
DARKS = f"{ACQUISITION}/dark_fields"
RECON_OPTIONS = "/process/tomo_rec/setup/algorithm"

NUM_ANGLES = f"{ROTATION}/num_angles"
ANGLE_RANGE = f"{ROTATION}/range"
DIMENSION_X = f"{DETECTOR}/dimension_x"
DIMENSION_Y = f"{DETECTOR}/dimension_y"
PIXEL_SIZE = f"{DETECTOR}/pixel_size"
NUM_FLATS = f"{FLATS}/num_flat_fields"
I0_CYCLE = f"{FLATS}/i0cycle"
NUM_DARKS = f"{DARKS}/num_dark_fields"
CAMERA_DISTANCE = f"{INSTRUMENT}/camera_motor_stack/setup/camera_distance"
ENERGY = f"{INSTRUMENT}/monochromator/energy"
EXPOSURE_TIME = f"{DETECTOR}/exposure_time"

INSTRUMENT_NAME = f"{INSTRUMENT}/instrument_name"
TIME_STAMP = f"{INSTRUMENT}/time_stamp"
BEAMLINE = f"{EXPERIMENT}/beamline"
EXPERIMENT_LEAD = f"{EXPERIMENT}/experiment_lead"
PI = f"{EXPERIMENT}/pi"
PROPOSAL = f"{EXPERIMENT}/proposal"
TITLE = f"{EXPERIMENT}/title"
EMAIL = "/measurement/sample/experimenter/email"
EXPERIMENTER = "/measurement/sample/experimenter/name"
FILE_NAME = "/measurement/sample/file_name"
UUID = "/measurement/sample/uuid"
START_DATE = f"{ACQUISITION}/start_date"
IMAGE_DATE = f"{ACQUISITION}/image_date"


class Kind(Enum):
    """How a field is stored: one float64 in an array of shape (1,), scalar bytes, or one float64 a frame."""

    NUMBER = "number"
    TEXT = "text"
    SAMPLED = "sampled"


class Use(Enum):
    """What a field is for: it identifies the record, describes the measurement, or steers the reconstruction."""

    CATALOGUE = "catalogue"
    SCIENTIFIC = "scientific"


@dataclass(frozen=True)
class Field:
    """One field of the layout. ``unit`` is given only where the reconstruction relies on it."""

    path: str
    kind: Kind
    use: Use = Use.SCIENTIFIC
    unit: str | None = None


def _below(group: str, kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(f"{group}/{name}", kind) for name in names)


CATALOGUE_FIELDS = tuple(
    Field(path, Kind.TEXT, Use.CATALOGUE)
    for path in (INSTRUMENT_NAME, BEAMLINE, EXPERIMENT_LEAD, PI, PROPOSAL, EMAIL, EXPERIMENTER, FILE_NAME)
)

SINGLE_FIELDS = (
    *_below(INSTRUMENT, Kind.NUMBER, "attenuator/setup/filter_y", "camera_motor_stack/setup/tilt_motor"),
    *_below(f"{INSTRUMENT}/detection_system", Kind.TEXT, "objective/camera_objective", "scintillator/scintillator_type"),
    *_below(DETECTOR, Kind.NUMBER, "binning_x", "binning_y", "dark_field_value", "delay_time", "temperature"),
    *_below(DETECTOR, Kind.TEXT, "model"),
    Field(DIMENSION_X, Kind.NUMBER, unit="px"),
    Field(DIMENSION_Y, Kind.NUMBER, unit="px"),
    Field(PIXEL_SIZE, Kind.NUMBER, unit="mm"),
    *_below(f"{INSTRUMENT}/monochromator/setup", Kind.NUMBER, "Z2"),
    *_below(f"{INSTRUMENT}/slits/setup", Kind.NUMBER, "hslits_center", "hslits_size", "vslits_Lead_Flag"),
    *_below(f"{INSTRUMENT}/source", Kind.TEXT, "source_name"),
    *_below(DARKS, Kind.NUMBER, "dark_num_avg_of", "num_dark_fields"),
    *_below(FLATS, Kind.NUMBER, "i0_move_x", "i0_move_y", "i0cycle", "num_flat_fields", "usebrightexpose"),
    *_below(f"{ACQUISITION}/mosaic", Kind.NUMBER, "tile_xmovedist", "tile_xnumimg", "tile_xorig", "tile_xoverlap"),
    *_below(f"{ACQUISITION}/mosaic", Kind.NUMBER, "tile_ymovedist", "tile_ynumimg", "tile_yorig", "tile_yoverlap"),
    *_below(ACQUISITION, Kind.TEXT, "name"),
    *_below(ROTATION, Kind.NUMBER, "blur_limit", "multiRev", "nhalfCir", "num_angles"),
    Field(ANGLE_RANGE, Kind.NUMBER, unit="deg"),
)

SAMPLED_FIELDS = (
    *_below(f"{INSTRUMENT}/sample_motor_stack/setup", Kind.SAMPLED, "axis1pos", "axis2pos", "sample_x", "axis5pos"),
    *_below(f"{INSTRUMENT}/camera_motor_stack/setup", Kind.SAMPLED, "camera_elevation"),
    Field(CAMERA_DISTANCE, Kind.SAMPLED, unit="mm"),
    *_below(f"{INSTRUMENT}/source", Kind.SAMPLED, "current", "beam_intensity_incident"),
    Field(ENERGY, Kind.SAMPLED, unit="eV"),
    *_below(DETECTOR, Kind.SAMPLED, "exposure_time"),
    *_below(INSTRUMENT, Kind.SAMPLED, "time_stamp"),
    *_below(f"{INSTRUMENT}/monochromator/setup", Kind.SAMPLED, "turret1", "turret2"),
)

EXTRA_FIELDS = (
    *_below("/measurement/sample", Kind.TEXT, "uuid"),
    *_below(EXPERIMENT, Kind.TEXT, "title"),
    *_below(ACQUISITION, Kind.TEXT, "start_date"),
    *_below(ACQUISITION, Kind.SAMPLED, "image_date"),
)
"""Fields that are read where present but not missed: the writer adds them only in some modes."""

FIELDS = (*CATALOGUE_FIELDS, *SINGLE_FIELDS, *SAMPLED_FIELDS, *EXTRA_FIELDS)
UNITS = {field.path: field.unit for field in FIELDS if field.unit}
