"""Rigs from other programs' calibration files. All come out in metres, z up, x_cam = R x + t."""

from mvssm_ros.rig.importers.common import Options
from mvssm_ros.rig.importers.data_sets import import_campus_shelf, import_panoptic
from mvssm_ros.rig.importers.formats import FORMATS, guess, import_rig
from mvssm_ros.rig.importers.placing import UNITS_M, UP_AXES
from mvssm_ros.rig.importers.qualisys import import_qca

__all__ = [
    "FORMATS",
    "UNITS_M",
    "UP_AXES",
    "Options",
    "guess",
    "import_campus_shelf",
    "import_panoptic",
    "import_qca",
    "import_rig",
]
