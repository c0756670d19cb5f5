"""A layer of a coordinate network, before it has values."""

from __future__ import annotations

import torch


class Layer(torch.nn.Module):
    """Weight (out, in) and bias (out,); complex ones have a last dimension of real and imaginary parts."""

    def __init__(self, fan_in: int, fan_out: int, is_complex: bool) -> None:
        super().__init__()
        self.fan_in, self.is_complex = fan_in, is_complex
        parts = (2,) if is_complex else ()
        self.weight = torch.nn.Parameter(torch.empty(fan_out, fan_in, *parts))
        self.bias = torch.nn.Parameter(torch.empty(fan_out, *parts))
