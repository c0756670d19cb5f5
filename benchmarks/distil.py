"""A short race: distil a sentence encoder's similarities into a small one, from different starts.

The texts are the dictionary definitions of ImageNet's classes, which timm carries: real English, no download.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encoder import Closeness, embed, embeddings, load, random_start
from measures import over_seeds

STEPS, BATCH = 60, 32
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
MARKS = (0, 20, 40, 60)


@dataclass(frozen=True)
class Start:
    """A checkpoint to train from, or with `anew` a model of its sizes with random weights."""

    directory: Path
    anew: bool = False

    def model(self, seed: int) -> torch.nn.Module:
        """Return a new model to train; the seed matters for random weights only."""
        made = load(self.directory)
        return random_start(made.config, seed) if self.anew else made


def definitions() -> list[str]:
    """Distinct definitions of 6 to 12 words, in a fixed random order."""
    raw = (files("timm") / "data" / "_info" / "imagenet_synset_to_definition.txt").read_text(encoding="utf-8")
    texts = sorted({line.partition("\t")[2].strip() for line in raw.splitlines()})
    kept = [t for t in texts if 6 <= len(t.split()) <= 12]
    random.Random(0).shuffle(kept)
    return kept


@dataclass(frozen=True)
class Data:
    """Texts and the source's embeddings of them."""

    tokenizer: Any
    train: Sequence[str]
    teacher: np.ndarray
    """Source embeddings of `train`, (texts, source width)."""
    validation: Sequence[str]
    closeness: Closeness
    """To the source, on `validation`."""
    test: Sequence[str]
    test_closeness: Closeness


def collect(source: torch.nn.Module, tokenizer: Any, test: Sequence[str]) -> Data:
    """Embed what is trained, validated and tested on; the three are apart."""
    texts = definitions()
    validation, train = texts[:128], texts[128 : 128 + STEPS * BATCH]

    def closeness(some: Sequence[str]) -> Closeness:
        return Closeness(embeddings(source, tokenizer, some))

    teacher = embeddings(source, tokenizer, train)
    return Data(tokenizer, train, teacher, validation, closeness(validation), test, closeness(test))


def train(model: torch.nn.Module, rate: float, seed: int, data: Data) -> tuple[float, list[float]]:
    """Train with AdamW; returns the validation correlation at the end and the test correlation at MARKS.

    The loss is the mean squared difference of the cosine similarities of every pair in a batch.
    """
    model.eval()  # no dropout: the runs are short, and every start is treated the same
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, fused=True)
    order = np.random.default_rng(seed).permutation(len(data.train))
    pairs = torch.triu_indices(BATCH, BATCH, 1)
    curve = []
    for step in range(STEPS + 1):
        if step in MARKS:
            curve.append(data.test_closeness.pearson(embeddings(model, data.tokenizer, data.test)))
        if step == STEPS:
            break
        for group in optimizer.param_groups:  # linear warmup over 6 steps, then linear decay
            group["lr"] = rate * min((step + 1) / 6, (STEPS - step) / (STEPS - 6))
        index = order[step * BATCH : (step + 1) * BATCH]
        texts = [data.train[i] for i in index]
        ours = torch.nn.functional.normalize(
            embed(model, dict(data.tokenizer(texts, return_tensors="pt", padding=True)))
        )
        wanted = torch.nn.functional.normalize(torch.from_numpy(data.teacher[index]).float())
        loss = ((ours @ ours.T - wanted @ wanted.T)[pairs[0], pairs[1]] ** 2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return data.closeness.pearson(embeddings(model, data.tokenizer, data.validation)), curve


_DATA: Data  # of a worker process


def _begin(data: Data) -> None:
    global _DATA
    _DATA = data
    # Two processes of one thread each: two threads that wait for each other in small models lose more.
    torch.set_num_threads(1)


def _run(start: Start, rate: float, seed: int) -> tuple[float, list[float]]:
    return train(start.model(seed), rate, seed, _DATA)


def race(starts: dict[str, Start], seeds: int, data: Data) -> dict[str, tuple[float, np.ndarray]]:
    """Choose each start's rate on validation with a seed of its own, then train `seeds` runs of each.

    Returns for each start its rate and the test correlations, (seeds, MARKS). Seed k draws the same batches for all.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=_begin, initargs=(data,)) as pool:
        tries = {(n, r): pool.submit(_run, s, r, 1000) for n, s in starts.items() for r in RATES}
        rates = {n: max(RATES, key=lambda r, n=n: tries[n, r].result()[0]) for n in starts}
        runs = {n: [pool.submit(_run, s, rates[n], seed) for seed in range(seeds)] for n, s in starts.items()}
        return {n: (rates[n], np.array([run.result()[1] for run in runs[n]])) for n in starts}


def race_table(found: dict[str, tuple[float, np.ndarray]]) -> tuple[list[list[str]], list[str]]:
    """Return rows and header: a start, its rate, its test correlation at every mark, as mean and 95 % over seeds."""
    rows = []
    for name, (rate, runs) in found.items():
        cells = [over_seeds(list(map(float, runs[:, i]))).short() for i in range(runs.shape[1])]
        if np.ptp(runs[:, 0]) == 0:  # one start, whatever the seed
            cells[0] = f"{runs[0, 0]:.2f}"
        rows.append([name, f"{rate:g}", *cells])
    return rows, ["start", "lr", *(f"step {m}" for m in MARKS)]
