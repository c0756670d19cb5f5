"""A language model cut in width: how far its next-token distributions are from the source's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encoder import METHODS, cut
from measures import Estimate, half_samples, over_seeds
from transformers import AutoModelForCausalLM, AutoTokenizer

LENGTH = 192
HEADER = ("KL, own stories", "perplexity, own stories", "KL, other text", "perplexity, other text")
Sets = Sequence[torch.Tensor]
"""Token ids, (texts, tokens), of each set of texts."""


def load(directory: Path) -> Any:
    """Load a causal language model with transformers alone."""
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def sample(model: Any, count: int, seed: int) -> torch.Tensor:
    """Texts that the model writes itself, from its start token at temperature 1."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        start = torch.full((count, 1), int(model.config.bos_token_id))
        options = {"do_sample": True, "top_k": 0, "min_new_tokens": LENGTH - 1, "max_new_tokens": LENGTH - 1}
        return torch.as_tensor(model.generate(start, attention_mask=torch.ones_like(start), **options))


def pieces_of(file: Path, tokenizer: Any, bos: int, count: int) -> torch.Tensor:
    """Pieces of the last tenth of a text, each behind the start token."""
    text = file.read_text(encoding="utf-8")
    ids = tokenizer(text[-len(text) // 10 :], add_special_tokens=False, verbose=False)["input_ids"]
    rows = [[bos, *ids[i : i + LENGTH - 1]] for i in range(0, len(ids) - LENGTH, LENGTH - 1)]
    return torch.tensor(rows[:count])


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the next token at every position, (texts, tokens - 1, vocabulary)."""
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=ids).logits[:, :-1].double(), -1)


def measure(model: Any, source: Sequence[torch.Tensor], sets: Sets) -> list[np.ndarray]:
    """Mean KL(source || model) and mean surprise in nats of each text, for each set of texts."""
    found = []
    for theirs, ids in zip(source, sets, strict=True):
        ours = logits(model, ids)
        found.append((theirs.exp() * (theirs - ours)).sum(-1).mean(1).numpy())
        found.append(-ours.gather(-1, ids[:, 1:, None]).squeeze(-1).mean(1).numpy())
    return found


def _mean(values: np.ndarray, i: int) -> float:
    mean = float(values.mean())
    return float(np.exp(mean)) if i % 2 else mean


def row_of_one(values: list[np.ndarray]) -> list[Estimate]:
    """KL and perplexity with intervals over the choice of texts."""
    return [half_samples(lambda d, i=i, v=v: _mean(v[d], i), len(v)) for i, v in enumerate(values)]


def before_training(workspace: Path, source: Path, sizes: dict[str, Any], text: Path, seeds: int) -> list[list[str]]:
    """One row per start: its distance from the source before any training."""
    teacher, tokenizer = load(source), AutoTokenizer.from_pretrained(source)
    calibration = workspace / "own-stories.txt"
    calibration.write_text("\n".join(tokenizer.batch_decode(sample(teacher, 64, 1), skip_special_tokens=True)))
    sets = (sample(teacher, 96, 2), pieces_of(text, tokenizer, int(teacher.config.bos_token_id), 96))
    theirs = [logits(teacher, ids) for ids in sets]
    rows = [["the source itself", *_texts(row_of_one(measure(teacher, theirs, sets)))]]
    config = None
    for method in METHODS:
        model = load(cut(workspace / method.replace(" ", "-"), str(source), sizes, method, calibration))
        config = model.config
        rows.append([method, *_texts(row_of_one(measure(model, theirs, sets)))])
    runs = []
    for seed in range(seeds):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            random = AutoModelForCausalLM.from_config(config).eval()
        runs.append([_mean(v, i) for i, v in enumerate(measure(random, theirs, sets))])
    rows.append([f"random, {seeds} seeds", *_texts([over_seeds(list(v)) for v in zip(*runs, strict=True)])])
    return rows


def _texts(estimates: list[Estimate]) -> list[str]:
    return [e.text(".2f" if i % 2 == 0 else ".0f" if e.value >= 10 else ".1f") for i, e in enumerate(estimates)]
