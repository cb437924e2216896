"""Pictures used again: never twice the same, all as often, a function of number and seed, targets with
their images."""

from collections import Counter

import numpy as np
import torch

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.image_batch import ImageBatch
from mvssm_ros.learning.rendered.variation import BLOCK, Reuse, mirrored, recoloured
from mvssm_ros.learning.rendered.world import RenderedConfig, RenderedWorld


def batch_of(number):
    """One square of one view with a bright pixel at (number, 5), where its left wrist is."""
    images = torch.zeros(1, 1, 3, 64, 64)
    images[..., 5, number % 60] = 3.0
    targets = torch.zeros(1, 1, 1, 15, 3)
    targets[..., PANOPTIC15.index("left_wrist"), :] = torch.tensor(
        [2.0 * (number % 60) + 0.5, 10.5, 1.0]
    )
    cameras = RenderedWorld(RenderedConfig(crop_px=64), 0).batch(1, 2).drawn.select([0])
    cameras = cameras.affine(torch.full((1, 1), 2.0), torch.zeros(1, 1, 2))
    return ImageBatch(images, cameras, torch.zeros(1, 1, 15, 3), torch.ones(1, 1).bool(), targets,
                      torch.zeros(1, 2), torch.ones(1, 2))  # fmt: skip


def test_the_bright_pixel_stays_where_the_wrist_is_also_when_mirrored():
    seen = Counter()
    for number in range(20):
        rng = np.random.default_rng(number)
        made = mirrored(recoloured(batch_of(number), rng), rng)
        pixel = int(made.images[0, 0].sum(0)[5].argmax())
        left, right = (
            made.targets_px[0, 0, 0, PANOPTIC15.index(f"{s}_wrist")] for s in ("left", "right")
        )
        wrist, other = (left, right) if left[2] else (right, left)
        assert wrist[:2].tolist() == [2.0 * pixel + 0.5, 10.5]
        assert other[2] == 0
        seen["mirrored" if right[2] else "as it was"] += 1
    assert min(seen.values()) >= 5


def test_every_batch_is_used_as_often_and_never_twice_the_same():
    asked = []

    def make(number):
        asked.append(number)
        return batch_of(number)

    reuse = Reuse(make, 3, 7, mirror=True)
    made = [reuse.batch(number).images for number in range(3 * BLOCK)]
    assert sorted(asked) == list(range(BLOCK))  # each was rendered once
    assert len({tuple(images.flatten().tolist()) for images in made}) == 3 * BLOCK
    reuse.batch(3 * BLOCK)
    assert max(asked) >= BLOCK  # the next block


def test_a_batch_is_a_function_of_its_number():
    one, two = (Reuse(batch_of, 2, 7, mirror=True) for _ in range(2))
    first = [one.batch(number).images for number in range(5)]
    for number in (4, 0, 3):
        assert torch.equal(two.batch(number).images, first[number])
    assert not torch.equal(Reuse(batch_of, 2, 8, mirror=True).batch(0).images, first[0])


def test_scenes_are_recoloured_but_not_mirrored():
    scenes = Reuse(batch_of, 3, 7, mirror=False)
    targets = {tuple(scenes.batch(n).targets_px.flatten().tolist()) for n in range(3 * BLOCK)}
    assert targets == {tuple(batch_of(n).targets_px.flatten().tolist()) for n in range(BLOCK)}


def test_processes_draw_in_the_same_order_and_colour_on_their_own():
    one, two = (Reuse(batch_of, 3, 7, rank, mirror=False) for rank in range(2))
    for number in range(5):
        first, second = one.batch(number), two.batch(number)
        assert torch.equal(first.targets_px, second.targets_px)
        assert not torch.equal(first.images, second.images)
