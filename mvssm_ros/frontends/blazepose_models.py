"""Finds and opens the two BlazePose networks that come inside the mediapipe wheel.

MediaPipe itself is never imported (its dependencies are heavy); its wheel is used as the carrier of
two TensorFlow Lite files, which ai-edge-litert runs.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.errors import UserError

INSTALL = "pip install ai-edge-litert && pip install --no-deps mediapipe==0.10.21"
_DETECTOR = "modules/pose_detection/pose_detection.tflite"
_LANDMARKS = "modules/pose_landmark/pose_landmark_full.tflite"


@dataclass(frozen=True)
class ModelFiles:
    """Paths of the person detector and of the landmark network."""

    detector: Path
    landmarks: Path


def find_model_files() -> ModelFiles:
    """Locate the two tflite files of the installed mediapipe wheel without importing it.

    Raises:
        UserError: mediapipe is not installed, or is a version that no longer carries the models.
    """
    spec = importlib.util.find_spec("mediapipe")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise UserError(
            "detector mediapipe: the package mediapipe, which carries its models, is not installed;"
            f" install it with: {INSTALL}"
        )
    for folder in folders:
        files = ModelFiles(Path(folder) / _DETECTOR, Path(folder) / _LANDMARKS)
        if files.detector.is_file() and files.landmarks.is_file():
            return files
    raise UserError(
        f"detector mediapipe: {folders[0]} has no {_DETECTOR} and {_LANDMARKS}"
        f" (mediapipe 1.x no longer carries them); install the version that does: {INSTALL}"
    )


class TfliteModel:
    """One network with one image input; not safe to call from two threads at a time."""

    def __init__(self, path: Path, n_threads: int) -> None:
        """Load it. Raises UserError if ai-edge-litert is missing or the file is unusable."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(
                "detector mediapipe: ai-edge-litert, which runs its models, cannot be imported"
                f" ({error}); install it with: {INSTALL}"
            ) from error
        try:
            self._interpreter: Any = Interpreter(str(path), num_threads=n_threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"detector mediapipe: {path} is no usable model ({error}); reinstall it with:"
                " pip install --force-reinstall --no-deps mediapipe==0.10.21"
            ) from error
        (entry,) = self._interpreter.get_input_details()
        self._input = entry["index"]
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in entry["shape"])  # (1, H, W, 3)
        self._outputs = {
            tuple(int(n) for n in out["shape"]): out["index"]
            for out in self._interpreter.get_output_details()
        }

    def __call__(self, image: npt.NDArray[np.float32]) -> dict[tuple[int, ...], npt.NDArray[Any]]:
        """Run on one image [1, H, W, 3]; returns the outputs by their shape (all shapes differ)."""
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return {
            shape: self._interpreter.get_tensor(index) for shape, index in self._outputs.items()
        }
