"""A real browser without a screen, and what can be seen in its pictures."""

from __future__ import annotations

import colorsys
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # WebGL on the processor
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
)
SIZE_PX = (1600, 900)


class Browser:
    """One page; ``asked`` has the host of every request that it made or wanted to make."""

    def __init__(self, page, folder: Path) -> None:
        self._page = page
        self._folder = folder  # for the picture of a failure
        self.asked: set[str] = set()
        page.on("request", lambda request: self.asked.add(urlsplit(request.url).hostname or ""))

    def open(self, url: str) -> None:
        self._page.goto(url, timeout=120_000)

    def picture(self, save: Path | None = None) -> np.ndarray:
        """What is on the page now, RGB [H, W, 3]."""
        png = self._page.screenshot(timeout=120_000)
        if save is not None:
            save.write_bytes(png)
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def look_until(self, condition: Callable[[np.ndarray], bool], pictures: int = 60) -> np.ndarray:
        """The first picture for which the condition holds; fails after so many."""
        for _ in range(pictures):
            picture = self.picture()
            if condition(picture):
                return picture
        path = self._folder / "not_seen.png"
        self.picture(path)
        pytest.fail(f"not in any of {pictures} pictures; the last one is {path}")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Skips the test where there is no browser or nothing to drive it with.

    Args:
        profile: an empty folder for what the browser keeps.
    """
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("there is no chromium (apt install chromium)")
    with driver.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=program,
            args=list(_FLAGS),
            viewport={"width": SIZE_PX[0], "height": SIZE_PX[1]},
        )
        try:
            yield Browser(context.pages[0], profile.parent)
        finally:
            context.close()


def pixels_of(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Where a colour is, light or dark [H, W] bool: the viewer shades what is solid."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(int)
    hue = round(180 * colorsys.rgb_to_hsv(*(c / 255 for c in color))[0])
    far = np.abs((hsv[..., 0] - hue + 90) % 180 - 90)
    return (far <= 4) & (hsv[..., 1] > 110) & (hsv[..., 2] > 70)


def part(picture: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """A part of a picture, in shares of its width and height."""
    height, width = picture.shape[:2]
    rows = slice(round(top * height), round(bottom * height))
    return picture[rows, round(left * width) : round(right * width)]
