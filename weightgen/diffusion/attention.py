"""Attention among tokens, or of tokens to a prompt's clauses."""

from __future__ import annotations

from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2): the same numbers in training and evaluation."""

    def __init__(self, width: int, heads: int, told: int | None = None) -> None:
        """`told`: width of the tokens that are attended to, where it is another."""
        super().__init__()
        self.heads = heads
        self.asks = nn.Linear(width, width)
        self.answers = nn.Linear(told or width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, asked: Tensor, absent: Tensor | None = None) -> Tensor:
        """Return (N, L, width) for queries (N, L, width) and tokens (N, M, told); `absent` (N, M): not to be seen."""
        queries = self.asks(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        pairs = self.answers(asked).unflatten(-1, (2, self.heads, -1))
        keys, values = (part.transpose(1, 2) for part in pairs.unbind(2))
        seen = None if absent is None else ~absent[:, None, None]
        found = nn.functional.scaled_dot_product_attention(queries, keys, values, seen)
        mixed: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed
