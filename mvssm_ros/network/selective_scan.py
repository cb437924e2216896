"""Selective scan (Mamba's S6): h_i = exp(delta_i A) h_{i-1} + delta_i B_i u_i, y_i = C_i h_i + D u_i.

Shapes: B sequences, K independent scan directions, L steps, D channels, S states.

    u, delta [B, K, L, D]   A [K, D, S] (negative)   B, C [B, K, L, S]   D [K, D]   ->   y [B, K, L, D]

Four backends compute the same thing. `scan_loop` is the definition, written to be read, and the
oracle of the tests. For CPUs: `scan_stepwise` does all the arithmetic of a step while it is in the
cache. For GPUs: `scan_cuda` is mamba-ssm's kernel; without it `scan_in_place`, which launches one
kernel a step, the rest being of all steps at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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


class _StepwiseScan(torch.autograd.Function):
    """Both passes go step by step, the gradient written by hand; only h is kept of what they compute.

    A step's tensors: u, delta, their gradients and y [B, K, D, 1], B and C [B, K, 1, S], h [B, K, D, S].
    """

    @staticmethod
    def forward(ctx: Any, *args: Tensor) -> Tensor:
        u, delta, A, B, C, D = args
        u, delta = _steps_first(u).unsqueeze(-1), _steps_first(delta).unsqueeze(-1)
        B, C, D = _steps_first(B).unsqueeze(-2), _steps_first(C).unsqueeze(-2), D.unsqueeze(-1)
        y, h = torch.empty_like(u), u.new_empty((*u.shape[:-1], A.shape[-1]))
        decay, term = torch.empty_like(h[0]), torch.empty_like(h[0])
        for i in range(len(u)):
            torch.mul(delta[i] * u[i], B[i], out=h[i])
            if i:
                torch.mul(delta[i], A, out=decay).exp_()
                h[i].addcmul_(decay, h[i - 1])
            torch.mul(u[i], D, out=y[i]).add_(_over_states(torch.mul(h[i], C[i], out=term)))
        ctx.save_for_backward(u, delta, A, B, C, D, h)
        return y.squeeze(-1).movedim(0, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """g is the gradient of h_i: what y_i wants of it, and what the steps after it do."""
        u, delta, A, B, C, D, h = ctx.saved_tensors
        dy = grad.movedim(2, 0).unsqueeze(-1)  # [L, B, K, D, 1]
        du, ddelta, dB, dC = (torch.empty_like(x) for x in (u, delta, B, C))
        dA, dD = torch.zeros_like(h[0]), torch.zeros_like(u[0])
        g, term, decay = torch.zeros_like(h[0]), torch.empty_like(h[0]), torch.empty_like(h[0])
        for i in range(len(u) - 1, -1, -1):
            g.addcmul_(dy[i], C[i])
            torch.sum(torch.mul(dy[i], h[i], out=term), -2, keepdim=True, out=dC[i])
            dD.addcmul_(dy[i], u[i])
            # the drive: delta_i B_i u_i
            torch.sum(torch.mul(g, delta[i] * u[i], out=term), -2, keepdim=True, out=dB[i])
            by_b = _over_states(torch.mul(g, B[i], out=term))
            torch.mul(by_b, u[i], out=ddelta[i])
            torch.mul(by_b, delta[i], out=du[i]).addcmul_(dy[i], D)
            if i:  # the decay: exp(delta_i A) h_{i-1}
                g.mul_(torch.mul(delta[i], A, out=decay).exp_())
                torch.mul(g, h[i - 1], out=term)
                dA.addcmul_(term, delta[i])
                ddelta[i].add_(_over_states(torch.mul(term, A, out=term)))
        du, ddelta = (x.squeeze(-1).movedim(0, 2) for x in (du, ddelta))
        dB, dC = (x.squeeze(-2).movedim(0, 2) for x in (dB, dC))
        return du, ddelta, dA.sum(0), dB, dC, dD.squeeze(-1).sum(0)


def _steps_first(x: Tensor) -> Tensor:
    """[B, K, L, X] -> [L, B, K, X]"""
    return x.movedim(2, 0).contiguous()


def _over_states(x: Tensor) -> Tensor:
    """[B, K, D, S] -> their sum [B, K, D, 1]"""
    return x if x.shape[-1] == 1 else x.sum(-1, keepdim=True)


def scan_stepwise(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Step after step, each in the cache from its first operation to its last."""
    y: Tensor = _StepwiseScan.apply(u, delta, A, B, C, D)
    return y


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
    scan: Scan = scan_stepwise
    if u.is_cuda:
        scan = scan_cuda if cuda_kernel_installed() else scan_in_place
    return scan(*args)


_HALF = (torch.float16, torch.bfloat16)
