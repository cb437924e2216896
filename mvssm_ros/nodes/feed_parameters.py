"""The parameters of what planners are fed with: feeds.*, bridges.*, rep155.*."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.parameter_spec import Spec
from mvssm_ros.tracking.robot_links import parse_link


def _check_links(texts: Sequence[str]) -> None:
    for text in texts:
        if text:
            parse_link(text)


def _check_frame(name: str) -> None:
    if not re.fullmatch(r"([^/\s:@][^\s:@]*)?", name):
        raise UserError(
            f"parameter 'feeds.robot_frame' is '{name}', expected a frame of TF, e.g. base_link,"
            " without spaces, ':', '@' or a leading '/'"
        )


def _check_id(person_id: str) -> None:
    if not re.fullmatch(r"(p\d+)?", person_id):
        raise UserError(
            f"parameter 'feeds.follow' is '{person_id}', expected the id of a person as in"
            " people, e.g. p0001, or '' for whoever is nearest"
        )


FEED_SPECS = (
    Spec(
        "feeds.k_sigma",
        2.0,
        "By how many standard deviations of their joints people grow in all feeds.",
        0.0,
        10.0,
        dynamic=True,
    ),
    Spec(
        "feeds.robot_frame",
        "",
        "Frame of the robot, usually base_link: feeds/scan is seen from it, feeds/followed chooses"
        " whom it is nearest to. Needs TF. Empty: the reference frame.",
        check=_check_frame,
    ),
    Spec(
        "feeds.cloud.spacing",
        0.1,
        "Distance between the points of feeds/cloud, m.",
        0.02,
        1.0,
        dynamic=True,
    ),
    Spec(
        "feeds.follow",
        "",
        "Id of the person in feeds/followed. Empty: whoever is nearest to the robot, as long as the"
        " id lasts.",
        dynamic=True,
        check=_check_id,
    ),
    Spec(
        "feeds.min_distance.links",
        [""],
        "Parts of the robot to which feeds/min_distance tells the distance: FRAME or FRAME:FRAME,"
        " with @RADIUS in m behind. They need TF. ['']: feeds.robot_frame as a point.",
        check=_check_links,
    ),
    Spec(
        "feeds.min_distance.timeout",
        0.5,
        "When the images are older than this, or no set has come for so long, feeds/min_distance"
        " is unknown (NaN), s. 0: never.",
        0.0,
        60.0,
        dynamic=True,
    ),
    Spec(
        "rep155.enable",
        False,
        "Publish /humans/bodies/tracked (with hri_msgs) and a TF frame body_<id> with its joints"
        " for everybody, as REP-155 names them.",
    ),
    Spec(
        "bridges.moveit",
        False,
        "Publish people as collision objects of MoveIt on planning_scene. Needs moveit_msgs.",
    ),
    Spec(
        "bridges.nav2_dynamic",
        False,
        "Publish people on feeds/obstacles for Nav2's dynamic obstacles. Needs nav2_dynamic_msgs.",
    ),
    Spec(
        "bridges.detection3d",
        False,
        "Publish people on feeds/detections as boxes. Needs vision_msgs.",
    ),
)
