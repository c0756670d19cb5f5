"""Sentence-embedding distillation: a student of any width imitates which sentences a teacher finds similar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.pooling import mean_pooled, padded
from weightgen.models.tokenizer import tokenizer_of
from weightgen.tasks.embeddings import embedded, sentences_of
from weightgen.tasks.texts import cut, load_texts
from weightgen.training.task import Batch, Metric, Split, Task

LEAST = 16
"""Sentences of a split: a correlation over fewer says little."""


class Sentences(Task):
    """Give a batch's sentences the teacher's cosine similarities to each other.

    The loss is the mean squared difference over all pairs of different sentences, which needs no projection between
    widths. Pairs lie within a micro-batch: several processes or micro-batches see fewer of them for one batch size.
    """

    name = "sentences"
    metric = Metric("similarity correlation", higher_is_better=True, limits=(-1.0, 1.0))

    def __init__(
        self, data: str, architecture: Architecture, directory: Path | None, teacher: str, length: int
    ) -> None:
        """Split text into sentences, have the teacher embed them, and tokenise them for the student."""
        tokenizer = tokenizer_of(architecture, directory, length)
        tables = sentences_of(load_texts(data))

        def too_short(name: str, needed: int) -> InputError:
            return InputError(
                f"{printable(data)}: too short: {len(tables[name])} different sentences of 6 to 64 words in the {name} "
                f"text, {needed} needed for {LEAST} in every split"
            )

        parts = cut(tables, LEAST, too_short)
        # Whole chunks: similarities within a short last one would be correlated over few others.
        chunk = self.scoring_batch
        parts = {
            s: t if s == "train" or len(t) < chunk else t.select(range(len(t) // chunk * chunk))
            for s, t in parts.items()
        }
        self._parts: dict[Split, Any] = {
            split: embedded(table, teacher, length)
            .map(_tokenised, batched=True, fn_kwargs={"tokenizer": tokenizer, "length": length})
            .with_format("torch", columns=["teacher"], output_all_columns=True)
            for split, table in parts.items()
        }
        self.further = {"recall at 10": _recall}
        self.sizes = {split: len(table) for split, table in self._parts.items()}

    def batch(self, split: Split, items: Sequence[int], draws: Sequence[int] | None = None) -> Batch:
        rows = self._parts[split][list(items)]
        ids, real = padded(rows["tokens"])
        return {"tokens": ids, "real": real, "teacher": rows["teacher"]}

    def forward(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return mean_pooled(model, batch["tokens"], batch["real"])

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        if len(outputs) < 2:
            raise UsageError(
                "sentences compares the sentences of a micro-batch: it needs at least two, raise --batch-size"
            )
        ours, theirs = _similarities(outputs), _similarities(batch["teacher"])
        return (ours - theirs).square().mean()

    def scores(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return how the student's similarities to each sentence correlate with the teacher's, (items,).

        Pearson, over the other sentences that are scored with it; 0 where one of the two finds all equally similar.
        """
        ours, theirs = (s - s.mean(1, keepdim=True) for s in map(_similarities, (outputs, batch["teacher"])))
        norms = ours.norm(dim=1) * theirs.norm(dim=1)
        return torch.where(norms > 1e-9, (ours * theirs).sum(1) / norms.clamp(min=1e-9), 0.0)

    def check(self, model: torch.nn.Module) -> None:
        batch = self.batch("validation", [0, 1])
        was_training = model.training
        try:
            with torch.no_grad():
                self.forward(model.eval(), {k: v.to(next(model.parameters()).device) for k, v in batch.items()})
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])
            raise UsageError(f"the model cannot take sentences: {reason}") from error
        finally:
            model.train(was_training)


def _recall(outputs: Any, batch: Batch) -> torch.Tensor:
    """Return whether the sentence nearest by the teacher is among the ten nearest by the student, (items,)."""
    ours, theirs = _similarities(outputs), _similarities(batch["teacher"])
    nearest = theirs.argmax(1, keepdim=True)
    return (ours.topk(min(10, ours.shape[1]), dim=1).indices == nearest).any(1)


def _similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """Return the cosine similarities of each embedding to the others, (n, width) -> (n, n - 1)."""
    count = len(embeddings)
    with torch.autocast(embeddings.device.type, enabled=False):  # half precision would round similarities to 0.4 %
        unit = torch.nn.functional.normalize(embeddings.float())
        # Rows of count + 1 values that follow the first begin after one diagonal element and end with the next.
        return (unit @ unit.T).flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)


def _tokenised(rows: dict[str, list[str]], tokenizer: Any, length: int) -> dict[str, list[list[int]]]:
    return {"tokens": tokenizer(rows["text"], truncation=True, max_length=length)["input_ids"]}
