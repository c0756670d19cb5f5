"""Sentence vectors of encoders: token ids padded to one length, and the mean of what the encoder makes of them."""

from __future__ import annotations

import torch

from weightgen.errors import UsageError


def padded(ids: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids, (texts, longest), and where they are real, 1 there and 0 where not."""
    rows = [torch.tensor(i) for i in ids]
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(rows, batch_first=True), pad([torch.ones_like(r) for r in rows], batch_first=True)


def mean_pooled(model: torch.nn.Module, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return the mean of the last hidden states over the real tokens, (texts, width), float32.

    Raises UsageError for a model that has no hidden states to give, as those with heads.
    """
    outputs = model(input_ids=ids, attention_mask=real)
    hidden = getattr(outputs, "last_hidden_state", None)
    if hidden is None:
        raise UsageError(f"{type(model).__name__} gives no hidden states: choose a base model, as BertModel is")
    weights = real.unsqueeze(-1).float()
    mean: torch.Tensor = (hidden.float() * weights).sum(1) / weights.sum(1)
    head = getattr(outputs, "pooler_output", None)
    # Data-parallel training waits for a gradient of every parameter, those of an unused head too.
    return mean if head is None else mean + 0 * head.float().sum()
