"""What MVGFormer (CVPR'24, arXiv 2311.10983) computes, written out in plain loops in float64.

The oracle for imported checkpoints: it reads MVGFormer's own parameter names and shares no code
with the package. One candidate joint at a time; slow and meant to be read.

Conventions of MVGFormer kept here: the camera is x_cam = R (X - C); an image point is inside from
0 up to width and height, the depth is not asked for; network pixels are `scale * u + offset`; a
position is normalised by the canvas and then stretched by w / (w - 1) for a feature map w cells
wide; the fused feature is a mean over ALL views, those that do not see the joint counting as zero;
confidences are a softmax over ALL views; a row of the triangulation is weighted by its confidence
and not scaled by depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HEADS, LEVELS, POINTS = 8, 3, 8


@dataclass
class Camera:
    """A pinhole camera with Brown-Conrady distortion and its raw-to-network-pixel map."""

    R: np.ndarray  # [3, 3]
    C: np.ndarray  # [3] camera centre
    f: np.ndarray  # [2] px
    c: np.ndarray  # [2] px
    k: np.ndarray  # [3] k1 k2 k3
    p: np.ndarray  # [2] p1 p2
    size_px: np.ndarray  # [2] width, height of the raw image
    scale: float
    offset_px: np.ndarray  # [2]

    def distort(self, xy: np.ndarray) -> np.ndarray:
        x, y = xy
        r2 = x * x + y * y
        radial = 1 + self.k[0] * r2 + self.k[1] * r2**2 + self.k[2] * r2**3
        p1, p2 = self.p
        return np.array(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
        )

    def project(self, X: np.ndarray) -> np.ndarray:
        x_cam = self.R @ (X - self.C)
        return self.f * self.distort(x_cam[:2] / x_cam[2]) + self.c

    def undistort(self, u: np.ndarray) -> np.ndarray:
        """Normalised coordinates of a raw pixel, by Newton steps with numeric derivatives."""
        target = (u - self.c) / self.f
        xy = target.copy()
        for _ in range(20):
            base, h = self.distort(xy), 1e-7
            J = np.stack([(self.distort(xy + h * e) - base) / h for e in np.eye(2)], axis=1)
            xy = xy - np.linalg.solve(J, base - target)
        return xy


@dataclass
class Layer:
    """One decoder layer's answer."""

    tokens: np.ndarray  # [N, J, C]
    score: np.ndarray  # [N]
    refined_px: np.ndarray  # [T, N, J, 2] network pixels
    confidence: np.ndarray  # [T, N, J]
    joints: np.ndarray  # [N, J, 3] weighted least squares, in the unit of the input
    joints_homogeneous: np.ndarray  # [N, J, 3] the smallest singular vector, as MVGFormer solves it


def forward(
    state: dict[str, np.ndarray],
    features: list[np.ndarray],
    cameras: list[Camera],
    joints: np.ndarray,
    canvas_px: tuple[int, int],
    instances: np.ndarray,
    n_layers: int,
) -> list[Layer]:
    """state: MVGFormer's parameters; features: strides 4, 8, 16, each [T, C, H, W]; joints
    [N, J, 3]: the starting poses; instances [N]: rows of the instance embedding."""
    width = state["joint_embedding.weight"].shape[1] // 2
    joint = state["joint_embedding.weight"][None]  # [1, J, 2C]
    embedding = joint + state["instance_embedding.weight"][instances, None]  # [N, J, 2C]
    position, tokens = embedding[..., :width], embedding[..., width:]
    layers = []
    for index in range(n_layers):
        weights = _Layer(state, f"decoder.layers.{index}.")
        layers.append(weights.forward(tokens, position, joints, features, cameras, canvas_px))
        tokens, joints = layers[-1].tokens, layers[-1].joints
    return layers


class _Layer:
    def __init__(self, state: dict[str, np.ndarray], prefix: str) -> None:
        self.state, self.prefix = state, prefix

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        weight, bias = (self.state[f"{self.prefix}{name}.{p}"] for p in ("weight", "bias"))
        return x @ weight.T + bias

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        weight, bias = (self.state[f"{self.prefix}{name}.{p}"] for p in ("weight", "bias"))
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def forward(self, tokens, position, joints, features, cameras, canvas_px) -> Layer:
        n, j, c = tokens.shape
        t = len(cameras)
        values = [self.linear("proj_attn.rayconv", np.moveaxis(f, 1, -1)) for f in features]
        seen = np.zeros((t, n, j, c))
        refined, logits = np.zeros((t, n, j, 2)), np.zeros((t, n, j))
        for view, camera in enumerate(cameras):
            maps = [np.moveaxis(f[view], 0, -1) for f in features]  # [H, W, C] a level
            for a in range(n):
                for b in range(j):
                    u = camera.project(joints[a, b])
                    inside = (u >= 0).all() and (u < camera.size_px).all()
                    u = np.clip(u, -1.0, camera.size_px.max()) * camera.scale + camera.offset_px
                    if inside:
                        query = tokens[a, b] + position[a, b]
                        seen[view, a, b] = self.attend(
                            query, u / canvas_px, maps, [v[view] for v in values]
                        )
                    hidden = seen[view, a, b]
                    for layer in (0, 1):
                        hidden = np.maximum(
                            self.linear(f"pose_embed.MLP.layers.{layer}", hidden), 0
                        )
                    head = self.linear("pose_embed.MLP.layers.2", hidden)
                    refined[view, a, b], logits[view, a, b] = u + head[:2], head[2]

        fused = self.linear("feature_update_mlp", seen.mean(0))
        tokens = self.norm("norm2", tokens + fused)
        inner = np.maximum(self.linear("linear1", tokens), 0)
        tokens = self.norm("norm3", tokens + self.linear("linear2", inner))
        person = 1 / (1 + np.exp(-self.linear("class_embed", tokens)[..., 1]))
        confidence = np.exp(logits - logits.max(0))
        confidence = confidence / confidence.sum(0)

        solved, homogeneous = np.zeros((n, j, 3)), np.zeros((n, j, 3))
        for a in range(n):
            for b in range(j):
                solved[a, b], homogeneous[a, b] = triangulate(
                    cameras, refined[:, a, b], confidence[:, a, b]
                )
        return Layer(tokens, person.mean(1), refined, confidence, solved, homogeneous)

    def attend(self, query, position, maps, values) -> np.ndarray:
        """Projective attention of one token in one view; position: [2] in units of the canvas."""
        anchors, offsets, logits = [], [], []
        for level_map in maps:
            size = np.array(level_map.shape[1::-1])
            anchor = position * size / (size - 1)
            anchors.append(anchor)
            x = _sample(level_map, anchor * size - 0.5) + query
            offsets.append(self.linear("proj_attn.sampling_offsets", x))  # [heads * points * 2]
            logits.append(self.linear("proj_attn.attention_weights", x))  # [heads * points]
        # MVGFormer reads the level-by-level numbers as if heads came first.
        offset = np.stack(offsets).reshape(HEADS, LEVELS, POINTS, 2)
        logit = np.stack(logits).reshape(HEADS, LEVELS * POINTS)
        weight = np.exp(logit - logit.max(-1, keepdims=True))
        weight = (weight / weight.sum(-1, keepdims=True)).reshape(HEADS, LEVELS, POINTS)
        width = len(query) // HEADS
        out = np.zeros((HEADS, width))
        for head in range(HEADS):
            channels = slice(head * width, (head + 1) * width)
            for level, value in enumerate(values):
                size = np.array(value.shape[1::-1])
                for point in range(POINTS):
                    cell = anchors[level] * size + offset[head, level, point] - 0.5
                    out[head] += weight[head, level, point] * _sample(value[..., channels], cell)
        return self.linear("proj_attn.output_proj", out.reshape(-1))


def _sample(grid: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Bilinear sample of [H, W, C] at (x, y) in cells, zero outside."""
    height, width, channels = grid.shape
    x0, y0 = np.floor(cell).astype(int)
    out = np.zeros(channels)
    for y in (y0, y0 + 1):
        for x in (x0, x0 + 1):
            if 0 <= x < width and 0 <= y < height:
                out += (1 - abs(cell[0] - x)) * (1 - abs(cell[1] - y)) * grid[y, x]
    return out


def triangulate(
    cameras: list[Camera], pixels: np.ndarray, confidence: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows confidence * (u P3 - P1) of undistorted pixels: the point that solves A [X, 1] = 0 by
    least squares, and the one from the smallest singular vector."""
    rows = []
    for camera, u, weight in zip(cameras, pixels, confidence, strict=True):
        xy = camera.undistort((u - camera.offset_px) / camera.scale)
        P = np.hstack([camera.R, -camera.R @ camera.C[:, None]])
        for axis in range(2):
            rows.append(weight * camera.f[axis] * (xy[axis] * P[2] - P[axis]))
    A = np.stack(rows)
    solved = np.linalg.lstsq(A[:, :3], -A[:, 3], rcond=None)[0]
    smallest = np.linalg.svd(A)[2][-1]
    return solved, smallest[:3] / smallest[3]
