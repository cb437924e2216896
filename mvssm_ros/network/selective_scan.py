"""Selective scan (Mamba's S6): h_i = exp(delta_i A) h_{i-1} + delta_i B_i u_i, y_i = C_i h_i + D u_i.

Shapes: B sequences, K independent scan directions, L steps, D channels, S states.

    u, delta [B, K, L, D]   A [K, D, S] (negative)   B, C [B, K, L, S]   D [K, D]   ->   y [B, K, L, D]

Three backends compute the same thing: `scan_loop` is the definition, written to be read, and the
oracle of the tests; `scan_in_place` keeps the steps outermost in memory and needs one fused
multiply-add a step, forward and backward; `scan_cuda` is mamba-ssm's kernel, where it is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def scan_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The definition, step by step."""
    h = u.new_zeros((*u.shape[:2], u.shape[-1], A.shape[-1]))  # [B, K, D, S]
    steps = []
    for i in range(u.shape[2]):
        decay = torch.exp(delta[:, :, i, :, None] * A)  # [B, K, D, S]
        drive = (delta[:, :, i] * u[:, :, i]).unsqueeze(-1) * B[:, :, i].unsqueeze(-2)
        h = decay * h + drive
        steps.append((h * C[:, :, i].unsqueeze(-2)).sum(-1) + D * u[:, :, i])
    return torch.stack(steps, 2)


class _InPlaceScan(torch.autograd.Function):
    """The recurrence h_i = a_i h_{i-1} + b_i over the first dimension, with a hand-written adjoint."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        h = b.clone()
        for i in range(1, h.shape[0]):
            h[i].addcmul_(a[i], h[i - 1])
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        g = grad.clone()
        for i in range(g.shape[0] - 2, -1, -1):
            g[i].addcmul_(a[i + 1], g[i + 1])
        grad_a = torch.zeros_like(a)
        torch.mul(g[1:], h[:-1], out=grad_a[1:])
        return grad_a, g


def scan_in_place(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Length-major: every step is one contiguous `addcmul_` on [B, K, D, S]."""
    u_, delta_ = u.movedim(2, 0).contiguous(), delta.movedim(2, 0).contiguous()  # [L, B, K, D]
    B_, C_ = B.movedim(2, 0), C.movedim(2, 0)  # [L, B, K, S]
    if A.shape[-1] == 1:  # one state: the state dimension is not worth its broadcasts
        h = _InPlaceScan.apply(torch.exp(delta_ * A[..., 0]), delta_ * u_ * B_)
        y = h * C_ + D * u_
    else:
        a = torch.exp(delta_.unsqueeze(-1) * A)  # [L, B, K, D, S]
        h = _InPlaceScan.apply(a, (delta_ * u_).unsqueeze(-1) * B_.unsqueeze(-2))
        y = torch.einsum("lbkds,lbks->lbkd", h, C_) + D * u_
    return y.movedim(0, 2)


def scan_cuda(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mamba-ssm's kernel: the K directions are its groups, [B, K D, L] with [B, K, S, L]."""
    kernel = importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    b, k, length, d = u.shape

    def channels_first(x: Tensor) -> Tensor:  # [B, K, L, D] -> [B, K D, L]
        return x.transpose(2, 3).reshape(b, k * d, length).contiguous()

    y = kernel(
        channels_first(u),
        channels_first(delta),
        A.reshape(k * d, -1).contiguous(),
        B.transpose(2, 3).contiguous(),
        C.transpose(2, 3).contiguous(),
        D.reshape(k * d),
    )
    return y.reshape(b, k, d, length).transpose(2, 3)


def cuda_kernel_installed() -> bool:
    """True where mamba-ssm's kernel can be imported (it needs CUDA to build and to run)."""
    try:
        importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        return False
    return True


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The best backend for where the tensors are; always in float32."""
    args = (
        [x.float() for x in (u, delta, A, B, C, D)] if u.dtype in _HALF else [u, delta, A, B, C, D]
    )
    scan: Scan = scan_cuda if u.is_cuda and cuda_kernel_installed() else scan_in_place
    return scan(*args)


_HALF = (torch.float16, torch.bfloat16)
