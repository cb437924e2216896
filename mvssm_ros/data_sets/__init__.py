"""Data sets of people in several calibrated cameras, as the user has them on disk: public or her own.

Nothing of them is part of this package: Panoptic, Campus, Shelf and Human3.6M are for research, and
show people. All come out in metres with z up.
"""

from mvssm_ros.data_sets.campus_shelf import open_campus, open_shelf
from mvssm_ros.data_sets.frames import Frame, Sequence, read_image
from mvssm_ros.data_sets.human36m import open_human36m
from mvssm_ros.data_sets.own import open_own
from mvssm_ros.data_sets.panoptic import open_panoptic

__all__ = [
    "Frame",
    "Sequence",
    "open_campus",
    "open_human36m",
    "open_own",
    "open_panoptic",
    "open_shelf",
    "read_image",
]
