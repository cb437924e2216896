"""A camera's faults do what they say, each image for itself."""

from dataclasses import replace

import torch

from mvssm_ros.rendering.materials import N_PATTERNS, SIZE, Materials, color_at, patterns
from mvssm_ros.rendering.sensor import Sensor, expose

LIGHT = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
ALL = torch.ones(2, 32, 48, dtype=torch.bool)


def test_a_perfect_camera_keeps_the_light_but_for_its_gamma_and_eight_bits():
    image = expose(LIGHT, ALL, Sensor.perfect(2))
    assert (image - LIGHT ** (1 / 2.2)).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal((255 * image).round(), 255 * image)


def test_outside_the_image_is_black():
    valid = ALL.clone()
    valid[0, :, 40:] = False
    noisy = replace(Sensor.perfect(2), read=torch.tensor([0.1, 0.1]))
    assert expose(LIGHT, valid, noisy)[0, :, :, 40:].max() == 0


def test_each_image_has_its_own_faults():
    for name, value in (("gain", 0.5), ("blur_px", 1.2), ("read", 0.05), ("jpeg", 30.0)):
        one = getattr(Sensor.perfect(2), name).clone()
        one[1] = value
        image = expose(LIGHT, ALL, replace(Sensor.perfect(2), **{name: one}))
        perfect = expose(LIGHT, ALL, Sensor.perfect(2))
        assert torch.equal(image[0], perfect[0]), name
        assert (image[1] - perfect[1]).abs().mean() > 5e-3, name


def test_noise_comes_from_the_generator_alone():
    noisy = replace(Sensor.perfect(2), shot=torch.tensor([0.1, 0.1]))
    first, again, other = (
        expose(LIGHT, ALL, noisy, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    blurred = expose(LIGHT, ALL, replace(Sensor.perfect(2), blur_px=torch.tensor([1.0, 1.0])))
    perfect = expose(LIGHT, ALL, Sensor.perfect(2))
    assert abs(float(blurred.mean() - perfect.mean())) < 5e-3
    assert blurred.std() < 0.6 * perfect.std()


def test_patterns_repeat_without_a_seam_and_colours_lie_between_two():
    bank = patterns(torch.device("cpu"))
    assert bank.shape == (N_PATTERNS, SIZE, SIZE)
    assert 0 <= bank.min()
    assert bank.max() <= 1
    k = N_PATTERNS
    colors = Materials(
        torch.zeros(k, 3), torch.ones(k, 3), torch.arange(k), torch.full((k,), 0.5), torch.zeros(k)
    )
    u = torch.linspace(0, 0.5, 50).expand(k, 50)
    index = torch.arange(k)[:, None].expand(k, 50)
    here, beyond = (
        color_at(colors, index, u, 0.3 * u),
        color_at(colors, index, u + 1.5, 0.3 * u - 2),
    )
    assert torch.allclose(here, beyond, atol=1e-3)
    assert 0 <= here.min()
    assert here.max() <= 1
