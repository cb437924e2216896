"""A bag of a simulated rig with pictures, 2D people and the truth, as a recorder would have written it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from recorded_rigs import START_NS, camera_infos, header
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.nodes.conversions import keypoints_to_message
from mvssm_ros.nodes.ground_truth import ground_truth_msg
from mvssm_ros.simulation.rendering import Renderer
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

SETS, RATE_HZ, NOISE_PX = 8, 5.0, 0.7
SCENARIO = """
space: {center_m: [0.0, 0.0], size_m: [5.0, 5.0]}
cameras: {count: 4, radius_m: 4.0, height_m: 2.4, rate_hz: 5.0, image_size_px: [320, 240]}
people:
  anna: {start_m: [-1.2, -0.8], then: [{walk_to_m: [1.0, 0.0]}]}
  ben: {start_m: [1.0, 1.0], speed_m_s: 0.8, then: [{walk_to_m: [-1.0, 1.0]}]}
"""


def stamp_ns(number):
    return START_NS + round(number / RATE_HZ * 1e9)


class SimulatedBag:
    """A simulated rig and what a recorder would have written of it, (topic, bag time, message)."""

    def __init__(self, folder):
        (folder / "scenario.yaml").write_text(SCENARIO)
        scenario = load_scenario(str(folder / "scenario.yaml"))
        self.simulator = Simulator(scenario, 0)
        self._fine = Simulator(scenario, 0, 1e9)  # a moment every nanosecond
        self.rig = scenario.rig
        self.names = list(scenario.rig.cameras)
        self.renderer = Renderer(self.simulator.cameras, scenario.rig.space, self.simulator.boxes)
        self.messages = [*camera_infos(self.rig)]
        rng = np.random.default_rng(0)
        self.moments = [self.simulator.moment(number) for number in range(SETS)]
        self.keypoints = np.zeros((SETS, len(self.names), len(self.simulator.names), 15, 3))
        for number, moment in enumerate(self.moments):
            seen = self.simulator.keypoints(moment)[1]
            head = header(stamp_ns(number), self.rig.reference_frame)
            truth = ground_truth_msg(moment, self.simulator.names, seen, self.names, [], head)
            self.messages.append(("/ground_truth", stamp_ns(number) + 20_000_000, truth))
            for view, name in enumerate(self.names):
                self._add_image(number, view)
                people = self._seen_2d(moment, view, rng)
                self.keypoints[number, view] = people
                message = keypoints_to_message(people, "panoptic15", (320, 240), head)
                self.messages.append((f"/{name}/keypoints", stamp_ns(number) + 9_000_000, message))

    def truth_m(self, stamp):
        """[G, 15, 3] at any stamp."""
        return self._fine.moment(stamp - START_NS).joints_m

    def _seen_2d(self, moment, view, rng):
        points = torch.from_numpy(moment.joints_m.reshape(-1, 3)).float()
        pixels, depth = project(self.simulator.cameras, points)
        inside = in_view(self.simulator.cameras, pixels, depth)[view].numpy()
        noisy = pixels[view].numpy() + rng.normal(0, NOISE_PX, (len(points), 2))
        people = np.concatenate([noisy, inside[:, None]], -1) * inside[:, None]
        return people.reshape(-1, 15, 3)[:: 1 if view % 2 else -1]  # in any order

    def _add_image(self, number, view):
        """Raw of the first camera, JPEG of the second, PNG of the others."""
        name = self.names[view]
        rgb = self.renderer.paint(self.moments[number], view)
        head, topic = header(stamp_ns(number) + view * 100_000), f"/{name}/image_raw"
        if view == 0:
            message = Image(header=head, height=240, width=320, encoding="rgb8", step=960)
            message.data = rgb.tobytes()
        else:
            kind = "jpeg" if view == 1 else "png"
            message = CompressedImage(header=head, format=f"bgr8; {kind} compressed bgr8")
            message.data = cv2.imencode(f".{kind}", rgb[..., ::-1])[1].tobytes()
            topic += "/compressed"
        self.messages.append((topic, stamp_ns(number) + 5_000_000 * (1 + view), message))
