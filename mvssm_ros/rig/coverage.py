"""Which camera sees how much of the space where people walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import in_view, project

if TYPE_CHECKING:
    from mvssm_ros.rig.rig_file import Rig

HEIGHT_M = 1.0  # above the floor: the middle of a standing person
_GRID = 21  # points along each side of the space
_LITTLE = 0.15  # of the space
_FEW_PAIRS = 0.5


@dataclass(frozen=True, eq=False)
class Coverage:
    """What T cameras see of a grid of N points over the space, one metre above the floor."""

    names: tuple[str, ...]
    points_m: npt.NDArray[np.float64]  # [N, 3]
    seen: npt.NDArray[np.bool_]  # [T, N]
    past_middle_deg: npt.NDArray[np.float64]  # [T] between optical axis and the space's middle

    @property
    def share_of_two(self) -> float:
        """Share of the space that two cameras or more see, 0..1."""
        return float((self.seen.sum(0) >= 2).mean())

    def sentence(self) -> str:
        """The shares in words."""
        each = ", ".join(
            f"{name} {100 * seen.mean():.0f} %"
            for name, seen in zip(self.names, self.seen, strict=True)
        )
        return (
            f"space: {100 * self.share_of_two:.0f} % of it is seen by two cameras or more"
            f" (1 m above the floor); {each}"
        )

    def warnings(self) -> list[str]:
        """A sentence for each camera that looks away, and one for a space that few see."""
        found = []
        for name, seen, angle in zip(self.names, self.seen, self.past_middle_deg, strict=True):
            if seen.mean() < _LITTLE:
                much = f"only {100 * seen.mean():.0f} %" if seen.any() else "nothing"
                found.append(
                    f"camera {name}: sees {much} of the space (1 m above the floor) and looks"
                    f" {angle:.0f} degrees past its middle; check its extrinsics"
                )
        if self.share_of_two < _FEW_PAIRS:
            found.append(
                f"space: only {100 * self.share_of_two:.0f} % of it is seen by two cameras or more"
                " (1 m above the floor); nobody is found in the rest"
            )
        return found


def coverage(rig: Rig) -> Coverage | None:
    """What the cameras of a rig see of its space; None if a calibration is unknown."""
    if not rig.cameras or any(entry.missing() for entry in rig.cameras.values()):
        return None
    space = rig.space
    along = [
        center + size * (np.arange(_GRID) / (_GRID - 1) - 0.5)
        for center, size in zip(space.center_m, space.size_m, strict=True)
    ]
    x, y = np.meshgrid(*along)
    points = np.stack([x, y, np.full_like(x, space.floor_m + HEIGHT_M)], -1).reshape(-1, 3)
    cameras = rig.to_cameras(dtype=torch.float64)
    pixels, depth = project(cameras, torch.from_numpy(points))
    middle = np.array([*space.center_m, space.floor_m + HEIGHT_M])
    to_middle = middle - cameras.centers_m.numpy()
    distance = np.maximum(np.linalg.norm(to_middle, axis=-1), 1e-9)  # 0: it stands in the middle
    cosine = (to_middle * cameras.R[:, 2].numpy()).sum(-1) / distance
    return Coverage(
        names=tuple(rig.cameras),
        points_m=points,
        seen=in_view(cameras, pixels, depth).numpy(),
        past_middle_deg=np.rad2deg(np.arccos(np.clip(cosine, -1, 1))),
    )
