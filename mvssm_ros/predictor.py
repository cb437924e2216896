"""From images or 2D keypoints of one set of views to people: all of the package but ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.detector import Detector, check_keypoints
from mvssm_ros.frontends.image_network import see
from mvssm_ros.frontends.images import letterbox
from mvssm_ros.frontends.keypoints import canvas_scale, canvas_size, draw_pyramid
from mvssm_ros.frontends.proposals import two_view_proposals
from mvssm_ros.frontends.resnet import CONFIGS, PoseResNet, fold_batchnorm
from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.geometry.skeletons import SKELETONS, skeleton_map
from mvssm_ros.geometry.support import claim_keypoints
from mvssm_ros.network.mvssm import MVSSM, Detections3D
from mvssm_ros.network.pyramid import FeaturePyramid
from mvssm_ros.network.weights import SHIPPED, load_network, load_state, read_weights
from mvssm_ros.uncertainty import SHIPPED as SHIPPED_COVARIANCE
from mvssm_ros.uncertainty import CovarianceModel

SUPPORT_PX = 30.0  # a view supports a joint when it has a keypoint this near (960-px images)
_NEAREST_PX = 150.0  # the reprojection error looks so far for the keypoint that a joint belongs to
_MIN_WEIGHT = 0.05  # RGB: a view supports a joint when it weighs at least this much
_MIN_JOINTS = 3  # nobody is reported of whom two views do not support so many joints


@dataclass
class People:
    """The answer for one set of T views; P people, best first.

    joints_m [P, 15, 3]; covariance_m2 [P, 15, 3, 3]; joint_confidence [P, 15] 0..1;
    observed [P, 15]: at least two views support the joint; view_used [P, 15, T]: which;
    score [P]; reprojection_px [T]: median distance, in raw pixels, between the joints and the
    keypoints that support them, or, where few do, the nearest ones within 150 px of a 960-px image
    (NaN without any); in_view, seen [P, T]: the view ought to see the person (most joints are
    inside its image), and it does, trusted or not; agreed [P]: more than half of the trusted views
    that ought to see the person do; keypoints_px [P, 15, T, 3]: what each view sees of the person,
    within 150 px of a 960-px image: raw px and confidence, 0 where nothing; timings_ms: stage -> ms.
    """

    joints_m: np.ndarray
    covariance_m2: np.ndarray
    joint_confidence: np.ndarray
    observed: np.ndarray
    view_used: np.ndarray
    score: np.ndarray
    reprojection_px: np.ndarray
    in_view: np.ndarray
    seen: np.ndarray
    agreed: np.ndarray
    keypoints_px: np.ndarray
    timings_ms: dict[str, float] = field(default_factory=dict)


class Predictor:
    """Holds the network, and where needed the backbone or the 2D detector; one call a set."""

    skeleton = SKELETONS["panoptic15"]

    def __init__(
        self,
        network: MVSSM,
        *,
        backbone: PoseResNet | None = None,
        detector: Detector | None = None,
        device: str = "cpu",
        score_threshold: float | None = None,
        max_people: int = 16,
        covariance_model: CovarianceModel | None = SHIPPED_COVARIANCE,
    ):
        self.device = _device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.frontend = network.config.frontend
        self.backbone = None if backbone is None else backbone.to(self.device).eval()
        self.detector = detector
        self.score_threshold = score_threshold  # None: as the weights say
        self.max_people = max_people
        self.covariance_model = covariance_model  # None: covariances as the network gives them

    @classmethod
    def from_pretrained(cls, weights: str | Path | None = None, **options: Any) -> Predictor:
        """Load weights (None: the keypoints weights that ship with the package).

        Raises UserError on weights that are missing, damaged or do not fit.
        """
        found = read_weights(SHIPPED if weights in (None, "") else str(weights))
        network = load_network(found)
        backbone = None
        if found.config.frontend != "keypoints":
            if found.config.frontend not in CONFIGS:
                raise UserError(
                    f"weights file {found.path} asks for front-end '{found.config.frontend}': "
                    f"expected keypoints or one of {sorted(CONFIGS)}"
                )
            backbone = PoseResNet(CONFIGS[found.config.frontend])
            load_state(backbone, found.part("backbone"), found.path)
            backbone = fold_batchnorm(backbone.eval())
        return cls(network, backbone=backbone, **options)

    def predict_images(
        self,
        cameras: Cameras,
        images: Sequence[np.ndarray],
        space: Any,
        trusted: np.ndarray | None = None,
        start_poses_m: np.ndarray | None = None,
    ) -> People:
        """images: one RGB uint8 [H, W, 3] a view. `space` is a `rig.rig_file.Space`.

        trusted [T] bool, start_poses_m [K, 15, 3]: as in `predict_keypoints`; RGB front-ends know no
        witnesses.
        """
        _check_views(cameras, len(images))
        if self.frontend == "keypoints":
            return self._detect_and_predict(cameras, images, space, trusted, start_poses_m)
        assert self.backbone is not None
        clock = _Clock()
        config = self.network.config
        boxed = letterbox(images, stride=config.image_stride)
        pixels = boxed.images.to(self.device)
        scaled = self._network_cameras(cameras, boxed.scale, boxed.offset_px)
        with torch.inference_mode():
            pyramid = see(self.backbone, config, pixels.unsqueeze(0))
        clock.lap("backbone")
        start = self._with_expected(self._grid(space), start_poses_m)
        found = self._run(pyramid, scaled, start)
        clock.lap("network")
        used = (found.confidence > _MIN_WEIGHT).permute(0, 2, 1).cpu().numpy()  # [P, J, T]
        ought = _in_view(found.poses_m, cameras)
        T = len(images)
        nothing = np.zeros((*used.shape, 3), np.float32)
        return self._answer(
            found, used, np.ones(T, bool), ought, np.full(T, np.nan), nothing, clock
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """2D people of each image by the built-in detector, as panoptic15 [P, 15, 3]."""
        if self.detector is None:
            raise UserError(
                "the keypoints front-end got images but has no 2D detector: give one, "
                "or send 2D keypoints"
            )
        to_ours = skeleton_map(self.detector.skeleton)
        return [to_ours.apply(self.detector.detect(image)) for image in images]

    def _detect_and_predict(
        self,
        cameras: Cameras,
        images: Sequence[np.ndarray],
        space: Any,
        trusted: np.ndarray | None,
        start_poses_m: np.ndarray | None,
    ) -> People:
        clock = _Clock()
        keypoints = self.detect(images)
        clock.lap("detect")
        people = self.predict_keypoints(cameras, keypoints, space, trusted, start_poses_m)
        people.timings_ms = clock.laps | people.timings_ms
        people.timings_ms["total"] += clock.laps["detect"]
        return people

    def predict_keypoints(
        self,
        cameras: Cameras,
        keypoints: Sequence[np.ndarray],
        space: Any,
        trusted: np.ndarray | None = None,
        start_poses_m: np.ndarray | None = None,
    ) -> People:
        """keypoints: panoptic15 [P, 15, 3] a view: x, y in raw px, confidence (0 = missing).

        trusted [T] bool, at least two True: a view that is not is a witness only. It adds nothing
        to the people, but its reprojection error is measured against them.
        start_poses_m [K, 15, 3]: where people are expected (`Tracker.start_poses_m`); they join the
        start poses, of weights whose number of candidates is not fixed.
        """
        if self.frontend != "keypoints":
            raise UserError(
                f"these weights are for the '{self.frontend}' front-end, which needs images: "
                "send images, or use keypoints weights"
            )
        _check_views(cameras, len(keypoints))
        clock = _Clock()
        views = [check_keypoints(k, 15, f"view {i}") for i, k in enumerate(keypoints)]
        most = max(1, *(len(v) for v in views))
        padded = np.zeros((1, len(views), most, 15, 3), np.float32)
        for t, view in enumerate(views):
            padded[0, t, : len(view)] = view
        drawn = torch.tensor(padded, device=self.device)  # a copy: it is scaled
        scale = canvas_scale(cameras.size_px).float()
        drawn[..., :2] *= scale.to(self.device)[:, None, None, None]
        network_px = cameras.to(torch.float32).affine(scale, torch.zeros(len(views), 2))
        use = np.ones(len(views), bool) if trusted is None else np.asarray(trusted, bool)
        chosen = np.flatnonzero(use).tolist()
        given = cameras.select(chosen)
        _check_views(given, len(chosen))
        seen = drawn[:, chosen]
        scaled = Cameras.stack([network_px.select(chosen)]).to(self.device)
        with torch.inference_mode():
            pyramid = draw_pyramid(seen, canvas_size(given.size_px))
        clock.lap("draw")
        start = self._grid(space)
        if self.network.config.n_proposals:
            start = torch.cat([start, self._proposals(scaled, seen, space)], 1)
            clock.lap("propose")
        start = self._with_expected(start, start_poses_m)
        found = self._run(pyramid, scaled, start)
        clock.lap("network")
        drawn_px = drawn[0].cpu()
        near, near_px, _ = claim_keypoints(found.poses_m, network_px, drawn_px, SUPPORT_PX)
        # from farther off, so that a camera with a wrong calibration is not one without an error
        far, far_px, whose = claim_keypoints(found.poses_m, network_px, drawn_px, _NEAREST_PX)
        astray = 2 * near.sum((0, 1)) < far.sum((0, 1))  # [T]
        distance = np.where(astray, far_px, near_px).reshape(-1, len(views)) / scale.numpy()
        ought = _in_view(found.poses_m, network_px)
        each_view, joint = np.arange(len(views)), np.arange(15)[:, None]
        claimed = padded[0][each_view, whose, joint] * far[..., None]  # [P, 15, T, 3]
        errors_px = _median_of_columns(distance)
        return self._answer(found, near, use, ought, errors_px, claimed, clock)

    def _network_cameras(self, cameras: Cameras, scale: Tensor, offset_px: Tensor) -> Cameras:
        """[1, T] cameras in network pixels, on the device."""
        one = Cameras.stack([cameras.to(torch.float32)])
        return one.affine(scale[None], offset_px[None]).to(self.device)

    def _grid(self, space: Any) -> Tensor:
        """Standing start poses all over the space, [1, N, 15, 3] m."""
        return self.network.start_poses(*self._rectangle(space), space.floor_m)

    def _proposals(self, cameras: Cameras, keypoints_px: Tensor, space: Any) -> Tensor:
        """Start poses where 2D people of two views agree, [1, K, 15, 3] m."""
        count = self.network.config.n_proposals
        with torch.inference_mode():
            poses, real = two_view_proposals(
                cameras, keypoints_px, *self._rectangle(space), count, space.floor_m
            )
            return poses[:, real[0]]

    def _with_expected(self, start: Tensor, expected_m: np.ndarray | None) -> Tensor:
        """Start poses [1, N, 15, 3] and those where people are expected, if their number is free."""
        if expected_m is None or not len(expected_m) or self.network.config.n_candidates:
            return start
        expected = torch.from_numpy(np.asarray(expected_m, np.float32)).to(self.device)
        return torch.cat([start, expected[None]], 1)

    def _rectangle(self, space: Any) -> tuple[Tensor, Tensor]:
        """Centre and size of the space, [1, 2] m each."""
        center = torch.tensor([space.center_m], dtype=torch.float32, device=self.device)
        return center, torch.tensor([space.size_m], dtype=torch.float32, device=self.device)

    def _run(self, pyramid: FeaturePyramid, cameras: Cameras, start: Tensor) -> Detections3D:
        with torch.inference_mode():
            found = self.network.detect(
                pyramid,
                cameras,
                start,
                score_threshold=self.score_threshold,
                max_people=self.max_people,
            )[0]
        return Detections3D(*(x.cpu() for x in found.__dict__.values()))

    def _answer(
        self,
        found: Detections3D,
        near: np.ndarray,
        trusted: np.ndarray,
        in_view: np.ndarray,
        reprojection_px: np.ndarray,
        keypoints_px: np.ndarray,
        clock: _Clock,
    ) -> People:
        """near [P, J, T]: the joints that each view's keypoints fit; only trusted views [T] support
        them."""
        used = near & trusted
        seen = near.sum(1) >= _MIN_JOINTS
        agreed = 2 * (seen & trusted).sum(-1) > (in_view & trusted).sum(-1)
        observed = used.sum(-1) >= 2
        real = (observed.sum(-1) >= _MIN_JOINTS) & torch.isfinite(found.poses_m).all(-1).all(
            -1
        ).numpy()
        covariance = found.covariance_m2.numpy()
        if self.covariance_model is not None:
            confidence = found.joint_scores.numpy()
            covariance = self.covariance_model.honest(covariance, confidence, used.sum(-1))
        clock.lap("finish")
        return People(
            joints_m=found.poses_m.numpy()[real],
            covariance_m2=covariance[real],
            joint_confidence=found.joint_scores.numpy()[real],
            observed=observed[real],
            view_used=used[real],
            score=found.scores.numpy()[real],
            reprojection_px=reprojection_px,
            in_view=in_view[real],
            seen=seen[real],
            agreed=agreed[real],
            keypoints_px=keypoints_px[real],
            timings_ms=clock.laps | {"total": sum(clock.laps.values())},
        )


class _Clock:
    """Times of consecutive stages."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = 1000.0 * (now - self._last)
        self._last = now


def _in_view(poses_m: Tensor, cameras: Cameras) -> np.ndarray:
    """[P, T] bool: most joints of the poses [P, J, 3] are inside the image."""
    p, j, _ = poses_m.shape
    poses = torch.nan_to_num(poses_m.float(), nan=1e6).flatten(0, 1)
    cameras = cameras.to(torch.float32)
    inside = in_view(cameras, *project(cameras, poses))
    return (inside.view(cameras.n_views, p, j).float().mean(-1) > 0.5).T.numpy()


def _median_of_columns(values: np.ndarray) -> np.ndarray:
    """Medians of [N, T] over N, ignoring NaN; NaN where a column holds nothing else."""
    return np.array(
        [np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else np.nan for c in values.T]
    )


def _check_views(cameras: Cameras, n: int) -> None:
    if cameras.n_views != n:
        raise ValueError(f"{cameras.n_views} cameras but {n} views")
    if n < 2:
        raise UserError(f"3D needs at least 2 views of the same moment, got {n}")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(
            f"model.device '{name}' is not a torch device: use cpu, cuda or cuda:N"
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"model.device is '{name}' but torch sees no CUDA device: use cpu")
    return device
