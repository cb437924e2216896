"""Muon for the backbone's inner convolutions, AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") takes each kernel
for a matrix, output channels by all the rest, and steps by its momentum with the singular values made
about equal, so directions that the gradient rarely has are learnt too. `torch.optim.Muon` takes
matrices alone and leaves all else to a second optimiser, of which a run would have to keep two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_ITERATIONS = 4
_QUINTIC = (3.4445, -4.7750, 2.0315)  # of that paper: the steepest at 0 that stays near 1


def inner_kernels(backbone: nn.Module) -> list[nn.Parameter]:
    """The kernels of a PoseResNet that Muon is for: all but the first and the last."""
    return [
        parameter
        for name, parameter in backbone.named_parameters()
        if parameter.dim() == 4 and not name.startswith(("conv1.", "final_layer."))
    ]


class MuonAdamW(torch.optim.AdamW):
    """AdamW, but for groups with ``"muon": True``: those step by Muon.

    products  number format of Muon's matrix products: bfloat16 is enough, and slow where the processor
              has none
    """

    def __init__(
        self, groups: list[dict[str, Any]], products: torch.dtype = torch.float32, **options: Any
    ) -> None:
        super().__init__([{"muon": False, **group} for group in groups], **options)
        self._products = products

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group["muon"]:
                self._step(group)
        return loss

    def _step(self, group: dict[str, Any]) -> None:
        for kernel in group["params"]:
            if kernel.grad is None:
                continue
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
                state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
            state["step"] += 1
            momentum = state["momentum"].lerp_(kernel.grad, 1 - _MOMENTUM)
            ahead = torch.lerp(kernel.grad, momentum, _MOMENTUM)  # Nesterov's
            matrix = ahead.flatten(1)  # [C, C' k k]
            step = orthogonal(matrix.to(self._products)).to(kernel).view_as(kernel)
            longer = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            kernel.mul_(1 - group["lr"] * group["weight_decay"])
            kernel.add_(step, alpha=-group["lr"] * longer)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix [M, N] with orthonormal rows or columns, roughly: singular values that were
    not far below the largest become 0.7 to 1.2 (Newton-Schulz iterations)."""
    upright = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if upright else matrix
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if upright else x
