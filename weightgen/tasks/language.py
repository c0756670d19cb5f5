"""Language modelling: the next token, or masked ones. Cross-entropy, perplexity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weightgen.errors import UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.tokenizer import tokenizer_of
from weightgen.tasks.texts import load_texts
from weightgen.tasks.tokens import pack
from weightgen.training.task import Batch, Metric, Split, Task

MASKED = 0.15
"""Share of the tokens to predict (Devlin et al. 2019, section 3.1)."""
SCORED_LOGITS = 1 << 26
"""Logits computed at a time while scoring: 256 MB of float32."""
HEADS = {"causal": "a ...ForCausalLM (GPT2LMHeadModel)", "masked": "a ...ForMaskedLM"}


class _Language(Task):
    """Predict tokens: logits (items, predicted tokens, vocabulary) against `labels` (items, predicted tokens)."""

    metric = Metric("perplexity", higher_is_better=False, exponentiate=True, limits=(1.0, np.inf))

    def __init__(self, items: dict[Split, Any], length: int, vocabulary: int) -> None:
        self._items, self._length, self._vocabulary = items, length, vocabulary
        self.sizes = {split: len(table) for split, table in items.items()}
        self.scoring_batch = max(1, min(Task.scoring_batch, SCORED_LOGITS // (length * vocabulary)))

    def _tokens(self, split: Split, items: Sequence[int]) -> np.ndarray:
        """Return the tokens of items, (items, length)."""
        return np.asarray(self._items[split][list(items)]["tokens"], np.int64)

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs.flatten(0, -2), batch["labels"].flatten())

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the mean surprise of each item's predicted tokens, (items,), in nats."""
        labels = batch["labels"]
        surprise = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), labels.flatten(), reduction="none")
        return surprise.view_as(labels).mean(-1)

    def terms(self, batch: Batch) -> int:
        return int(batch["labels"].numel())

    def check(self, model: torch.nn.Module) -> None:
        """Run the model on one item, and on the same with another last token."""
        tokens = torch.from_numpy(self._tokens("validation", [0])).repeat(2, 1)
        tokens[1, -1] = (tokens[1, -1] + 1) % self._vocabulary
        was_training = model.training
        try:
            with torch.no_grad():
                outputs = model.eval()(input_ids=tokens.to(next(model.parameters()).device))
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])
            raise UsageError(f"the model cannot take items of {self._length} tokens: {reason}") from error
        finally:
            model.train(was_training)
        logits = getattr(outputs, "logits", None)
        if logits is None or logits.shape[:2] != tokens.shape or logits.shape[2] < self._vocabulary:
            raise UsageError(f"{type(model).__name__} does not predict tokens: choose {HEADS[self.name]}")
        self._check_logits(model, logits)

    @abstractmethod
    def _check_logits(self, model: torch.nn.Module, logits: torch.Tensor) -> None:
        """Judge the logits of two items that differ in their last token, (2, length, vocabulary)."""


class Causal(_Language):
    """Predict each token from those before it.

    An item is `length` tokens: the tokenizer's (or model's) beginning-of-sequence token where it has one, then text.
    """

    name = "causal"

    def __init__(self, data: str, architecture: Architecture, directory: Path | None, length: int) -> None:
        tokenizer = tokenizer_of(architecture, directory, length)
        begin = tokenizer.bos_token_id
        if begin is None:
            begin = getattr(architecture.config.get_text_config(), "bos_token_id", None)
        vocabulary = max(tokenizer.get_vocab().values()) + 1
        before = [begin] if isinstance(begin, int) and 0 <= begin < vocabulary else []
        items = pack(load_texts(data), tokenizer, length, before, [], printable(data))
        super().__init__(items, length, vocabulary)

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        tokens = torch.from_numpy(self._tokens(split, items))
        return {"tokens": tokens, "labels": tokens[:, 1:].contiguous()}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=batch["tokens"]).logits
        return logits[:, :-1]

    def _check_logits(self, model: torch.nn.Module, logits: torch.Tensor) -> None:
        before = logits[:, :-1].float()
        # Experts and kernels may round the same sum differently, a token seen ahead changes more than that.
        if float((before[0] - before[1]).abs().max()) > 1e-4 * float(before.abs().max()):
            raise UsageError(
                f"{type(model).__name__} sees the tokens that it should predict: choose {HEADS['causal']}, "
                "or --task masked"
            )


class Masked(_Language):
    """Restore masked tokens.

    15 % of an item's tokens are to be predicted, at least one and always equally many, special and unknown tokens
    never among them; 80 % of these are replaced by the mask token, 10 % by a random token, 10 % stay as they are
    (Devlin et al. 2019, appendix A.1). Training draws anew each time, scoring masks an item always in the same way.
    """

    name = "masked"

    def __init__(self, data: str, architecture: Architecture, directory: Path | None, length: int) -> None:
        tokenizer = tokenizer_of(architecture, directory, length)
        if tokenizer.mask_token_id is None:
            raise UsageError(f"the tokenizer in {printable(str(directory))} has no mask token: try --task causal")
        before = [i for i in [tokenizer.cls_token_id] if i is not None]
        after = [i for i in [tokenizer.sep_token_id] if i is not None]
        self._count = max(1, round(MASKED * (length - len(before) - len(after))))
        self._mask, self._special = tokenizer.mask_token_id, np.array(tokenizer.all_special_ids)
        items = pack(load_texts(data), tokenizer, length, before, after, printable(data), known=self._count)
        super().__init__(items, length, max(tokenizer.get_vocab().values()) + 1)

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        tokens = self._tokens(split, items)
        seeds = draws if draws is not None else items
        places = np.stack([self._masks(row, seed) for row, seed in zip(tokens, seeds, strict=True)])
        rows = np.arange(len(tokens))[:, None]
        labels, shown = tokens[rows, places[:, 0]], tokens.copy()
        shown[rows, places[:, 0]] = np.where(places[:, 1] < 0, labels, places[:, 1])
        return {k: torch.from_numpy(v) for k, v in (("tokens", shown), ("labels", labels), ("places", places[:, 0]))}

    def _masks(self, tokens: np.ndarray, seed: int) -> np.ndarray:
        """Return where to predict in an item and what to show there, -1 for the token itself: (2, predicted)."""
        draw = np.random.default_rng(seed)
        text = np.flatnonzero(np.isin(tokens, self._special, invert=True))
        places = np.sort(draw.choice(text, self._count, replace=False))
        kind, other = draw.random(self._count), draw.integers(0, self._vocabulary, self._count)
        return np.stack([places, np.where(kind < 0.8, self._mask, np.where(kind < 0.9, other, -1))])

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=batch["tokens"]).logits
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        return logits[rows, batch["places"]]

    def _check_logits(self, model: torch.nn.Module, logits: torch.Tensor) -> None:
        """Any model that predicts tokens will do."""
