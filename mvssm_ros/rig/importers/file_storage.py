"""Matrices in OpenCV's FileStorage (%YAML:1.0 with !!opencv-matrix, XML, JSON), as numpy arrays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import Array
from mvssm_ros.rig.text_file import read_text

_log = logging.getLogger(__name__)


class Storage:
    """The top-level nodes of one or several FileStorage files, read as one.

    Raises:
        UserError: a file is missing or not a FileStorage, or a node is in two of them.
    """

    def __init__(self, paths: list[str], where: str) -> None:
        self.where = where
        self._nodes: dict[str, Any] = {}
        self._files = []  # nodes live as long as their file
        for path in paths:
            file = _open(path, f"{where}: {path}" if len(paths) > 1 else where)
            self._files.append(file)
            for key in list(file.root().keys()):
                if key in self._nodes and key != "names":
                    raise UserError(f"{where}: {key} is in more than one of the files")
                self._nodes.setdefault(key, file.getNode(key))

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def keys(self) -> list[str]:
        return list(self._nodes)

    def matrix(self, key: str, sizes: tuple[int, ...] | None = None) -> Array:
        """A flat array of a matrix, a list of numbers or a number.

        Raises:
            UserError: it is missing, no matrix, or has another number of values than ``sizes``.
        """
        node = self._nodes.get(key)
        if node is None:
            raise UserError(
                f"{self.where}: has no {key}; it has {', '.join(self.keys()) or 'none'}"
            )
        try:
            if node.isSeq():
                array = np.array([node.at(i).real() for i in range(node.size())])
            elif node.isReal() or node.isInt():
                array = np.array([node.real()])
            else:
                array = np.asarray(node.mat(), np.float64).reshape(-1)
        except (cv2.error, SystemError, TypeError, ValueError):
            raise UserError(f"{self.where}: {key}: is not a matrix of numbers") from None
        if sizes is not None and len(array) not in sizes:
            raise UserError(
                f"{self.where}: {key}: expected {' or '.join(map(str, sizes))} numbers, got"
                f" {len(array)}"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{self.where}: {key}: has a value that is not a finite number")
        return array

    def texts(self, key: str) -> list[str]:
        """A list of texts; numbers in it are written out, and "a,b" counts as two."""
        node = self._nodes.get(key)
        if node is None:
            raise UserError(
                f"{self.where}: has no {key}; it has {', '.join(self.keys()) or 'none'}"
            )
        if node.isString():
            return [part.strip() for part in str(node.string()).split(",")]
        items = [node.at(i) for i in range(node.size())] if node.isSeq() else [node]
        return [n.string() if n.isString() else f"{n.real():g}" for n in items]


def _open(path: str, where: str) -> cv2.FileStorage:
    if not read_text(Path(path), where).strip():
        raise UserError(f"{where}: is empty")
    level = cv2.utils.logging.getLogLevel() if hasattr(cv2, "utils") else None
    try:
        if level is not None:  # what is wrong with the file is said below
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        file = cv2.FileStorage(path, cv2.FILE_STORAGE_READ)
    except (cv2.error, SystemError) as error:
        _log.debug("OpenCV: %s", error)
        raise UserError(f"{where}: is not a FileStorage of OpenCV (%YAML:1.0 or XML)") from None
    finally:
        if level is not None:
            cv2.utils.logging.setLogLevel(level)
    if not file.isOpened():
        raise UserError(f"{where}: is not a FileStorage of OpenCV (%YAML:1.0 or XML)")
    return file
