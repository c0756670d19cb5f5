"""Mimetic initialisation: self-attention that begins as trained vision transformers' attention looks.

Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (ICML 2023), arXiv 2305.09828: products of
queries and keys are near the identity, products of values and projections near its negative.

In the paper rows are tokens and W_Q is (d, k). A torch weight is its transpose, so that W_Q W_K^T is
`query.T @ key` of each head and W_V W_proj is `(projection @ value).T`. Ports that store V^T itself as the projection's
weight, and not its transpose, get a product of the same eigenvalues that is no -beta I with even noise.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits.attention import Attention, attentions
from weightgen.inits.initialiser import Assignment, Fill, Options
from weightgen.inits.role import Roles
from weightgen.inits.rules import layer
from weightgen.inits.tensors import check_weight, normal

QUERY_KEY = (0.7, 0.7)
"""alpha and beta of queries and keys. These two pairs are those of the implementation that later work on structured
initialisation compares with (osiriszjq/impulse_init), not checked against the paper's text; another port has them the
other way round. Trained language models show other patterns, by the paper: set them."""
VALUE = (0.4, 0.4)
"""alpha and beta of values and projections."""


class MimeticOptions(Options):
    """How near to the identity the products are."""

    alpha_qk: float = Field(QUERY_KEY[0], description="Noise in the product of queries and keys.")
    beta_qk: float = Field(QUERY_KEY[1], description="Identity in it.")
    alpha_v: float = Field(VALUE[0], description="Noise in the product of values and projection.")
    beta_v: float = Field(VALUE[1], description="Negative identity in it.")


def factors(
    width: int, rank: int, alpha: float, beta: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return L (width, rank) and R (rank, width), float64, with L R the best approximation of alpha Z + beta I.

    Z has entries N(0, 1 / width); U S V^T is the singular value decomposition, L = U_r S_r^(1/2), R = S_r^(1/2) V_r^T
    of its `rank` largest values. Raises UsageError for a rank that is not 1 to width.

    >>> left, right = factors(4, 4, 0.0, 2.0)
    >>> torch.allclose(left @ right, 2 * torch.eye(4, dtype=torch.float64))
    True
    """
    if not 1 <= rank <= width:
        raise UsageError(f"mimetic: expected heads of 1 to {width} dimensions, the width of the stream, found {rank}")
    noise = normal((width, width), generator) * (alpha / math.sqrt(width))
    left, values, right = torch.linalg.svd(noise + beta * torch.eye(width, dtype=noise.dtype, device=noise.device))
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


def mimetic_query_key_(
    query: Tensor,
    key: Tensor,
    heads: int,
    alpha: float = QUERY_KEY[0],
    beta: float = QUERY_KEY[1],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the weights of queries and keys, (heads dim, width) each, filled in place; biases are to be 0.

    In each head, with a Z of its own, query^T key is the `factors` of alpha Z + beta I at rank dim: tokens attend to
    what is like themselves. Raises UsageError as `check_weight` does, for shapes that differ or that the heads do not
    divide, and for heads wider than the stream.

    >>> query, key = mimetic_query_key_(torch.empty(6, 6), torch.empty(6, 6), 1, 0.0, 0.5)
    >>> torch.allclose(query.T @ key, 0.5 * torch.eye(6))
    True
    """
    check_weight(query, "mimetic_query_key_")
    check_weight(key, "mimetic_query_key_")
    if query.shape != key.shape or query.ndim != 2 or heads < 1 or len(query) % heads:
        raise UsageError(
            f"mimetic_query_key_: expected two weights (heads dim, width) of {heads} heads, "
            f"found {list(query.shape)} and {list(key.shape)}"
        )
    with torch.no_grad():
        for own_query, own_key in zip(query.chunk(heads), key.chunk(heads), strict=True):
            left, right = factors(query.shape[1], len(own_query), alpha, beta, generator)
            own_query.copy_(left.T)
            own_key.copy_(right)
    return query, key


def mimetic_value_(
    value: Tensor,
    projection: Tensor,
    alpha: float = VALUE[0],
    beta: float = VALUE[1],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the weights of values (inner, width) and projection (width, inner), filled in place; biases are to be 0.

    (projection value)^T is the `factors` of alpha Z - beta I, over all heads together: where a token attends to
    itself, attention takes a part of it away. Raises UsageError as `check_weight` does, for shapes that do not fit, and
    for an inner size above the width.

    >>> value, projection = mimetic_value_(torch.empty(6, 6), torch.empty(6, 6), 0.0, 0.5)
    >>> torch.allclose(projection @ value, -0.5 * torch.eye(6))
    True
    """
    check_weight(value, "mimetic_value_")
    check_weight(projection, "mimetic_value_")
    if value.ndim != 2 or projection.shape != value.T.shape:
        raise UsageError(
            "mimetic_value_: expected weights (inner, width) and (width, inner), "
            f"found {list(value.shape)} and {list(projection.shape)}"
        )
    left, right = factors(value.shape[1], len(value), alpha, -beta, generator)
    with torch.no_grad():
        return value.copy_(left.T), projection.copy_(right.T)


def plan(model: nn.Module, roles: Roles, options: MimeticOptions) -> list[Assignment]:
    """Return what the weights of each self-attention get; their biases become 0, all else is left alone.

    Scores are taken to be divided by sqrt(dim), as T5's are not. The paper's transformers have sinusoidal position
    embeddings, which are not set here.
    Raises UsageError for models in which no self-attention is found that has a query, a key and a value in each head
    and turns none of them by its position.
    """
    found = attentions(model)
    if not found:
        raise UsageError(
            f"{type(model).__name__}: mimetic found no self-attention with a key for each head's query and without "
            "rotary positions.\nFor single weights: weightgen.inits.mimetic.mimetic_query_key_ and mimetic_value_"
        )
    return [assignment for attention in found for assignment in _assignments(attention, roles, options)]


def _assignments(attention: Attention, roles: Roles, options: MimeticOptions) -> list[Assignment]:
    more = {"whole": True, "draw": attention.projection}
    found: list[Assignment] = []
    for tensor in attention.tensors:
        fill = _fill(attention, tensor, options)
        found += layer(roles.tensors[tensor], "mimetic", fill, f"attention, {attention.heads} heads", **more)
    return found


def _fill(attention: Attention, tensor: str, options: MimeticOptions) -> Fill:
    """Return what writes one tensor's part; all of an attention draw the same numbers, so that parts fit together."""

    def fill(weight: Tensor, generator: torch.Generator) -> None:
        width, inner = attention.width, attention.value.stop - attention.value.start
        if tensor in (attention.value.tensor, attention.projection):
            shapes = weight.new_empty(inner, width), weight.new_empty(width, inner)
            value, projection = mimetic_value_(*shapes, options.alpha_v, options.beta_v, generator)
            if tensor == attention.projection:
                weight.copy_(projection)
                return
            weight[attention.value.start : attention.value.stop] = value
        else:
            normal((width, width), generator)  # the noise of the values
        if tensor in (attention.query.tensor, attention.key.tensor):
            rows = attention.query.stop - attention.query.start
            pair = weight.new_empty(rows, width), weight.new_empty(rows, width)
            mimetic_query_key_(*pair, attention.heads, options.alpha_qk, options.beta_qk, generator)
            for part, values in zip((attention.query, attention.key), pair, strict=True):
                if part.tensor == tensor:
                    weight[part.start : part.stop] = values

    return fill
