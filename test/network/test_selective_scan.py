"""Every backend against the plain loop, in value and gradient."""

import pytest
import torch

from mvssm_ros.network.selective_scan import (
    cuda_kernel_installed,
    scan_cuda,
    scan_in_place,
    scan_loop,
    scan_stepwise,
    selective_scan,
)


def arguments(b=3, k=2, length=7, d=4, s=1, dtype=torch.float64, device="cpu", seed=0):
    g = torch.Generator().manual_seed(seed)
    u = torch.randn(b, k, length, d, generator=g)
    delta = torch.rand(b, k, length, d, generator=g) + 0.01
    A = -torch.rand(k, d, s, generator=g) * s - 0.1
    B = torch.randn(b, k, length, s, generator=g)
    C = torch.randn(b, k, length, s, generator=g)
    D = torch.randn(k, d, generator=g)
    return [x.to(device, dtype).requires_grad_() for x in (u, delta, A, B, C, D)]


def value_and_gradients(scan, args):
    y = scan(*args)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).view_as(y)
    return y, torch.autograd.grad((y * weight).sum(), args)


def test_the_loop_is_the_formula():
    u, delta, A, B, C, D = arguments(b=1, k=1, length=3, d=1, s=1)
    h = 0.0
    for i in range(3):
        h = (
            torch.exp(delta[0, 0, i, 0] * A[0, 0, 0]) * h
            + delta[0, 0, i, 0] * B[0, 0, i, 0] * u[0, 0, i, 0]
        )
        y = C[0, 0, i, 0] * h + D[0, 0] * u[0, 0, i, 0]
        torch.testing.assert_close(scan_loop(u, delta, A, B, C, D)[0, 0, i, 0], y)


@pytest.mark.parametrize("scan", [scan_stepwise, scan_in_place])
@pytest.mark.parametrize("states", [1, 2, 16])
@pytest.mark.parametrize(("k", "length"), [(1, 1), (2, 15), (4, 75)])
def test_backends_equal_the_loop(scan, states, k, length):
    args = arguments(k=k, length=length, s=states)
    expected, expected_grads = value_and_gradients(scan_loop, args)
    y, grads = value_and_gradients(scan, args)
    torch.testing.assert_close(y, expected, atol=1e-10, rtol=1e-10)
    for got, want in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("scan", [scan_stepwise, scan_in_place])
@pytest.mark.parametrize("states", [1, 3])
def test_gradcheck(scan, states):
    assert torch.autograd.gradcheck(scan, arguments(b=1, length=4, d=2, s=states))


@pytest.mark.parametrize("scan", [scan_stepwise, scan_in_place])
def test_float32_is_close_to_float64(scan):
    args = arguments(length=75, s=4)
    y = scan(*(x.float() for x in args))
    torch.testing.assert_close(y.double(), scan_loop(*args), atol=1e-4, rtol=1e-4)


def test_half_precision_is_scanned_in_float32():
    args = [x.bfloat16() for x in arguments()]
    y = selective_scan(*args)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, scan_loop(*(x.float() for x in args)))


@pytest.mark.skipif(
    not (torch.cuda.is_available() and cuda_kernel_installed()), reason="needs CUDA and mamba-ssm"
)
@pytest.mark.parametrize("states", [1, 16])
def test_the_cuda_kernel_equals_the_loop(states):
    args = arguments(s=states, length=75, dtype=torch.float32, device="cuda")
    expected, expected_grads = value_and_gradients(scan_loop, args)
    y, grads = value_and_gradients(scan_cuda, args)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
    for got, want in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)
