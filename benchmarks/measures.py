"""How close two sets of outputs are, with intervals; numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 11: 2.20, 15: 2.13, 19: 2.09}


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self, form: str = ".2f") -> str:
        """Write as `value [low, high]`."""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def short(self, form: str = ".2f") -> str:
        """Write a symmetric interval as `value ±half`."""
        return f"{self.value:{form}} ±{(self.high - self.low) / 2:{form.lstrip('+')}}"


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean over independent runs and its t interval."""
    mean = float(np.mean(values))
    half = T95[len(values) - 1] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(mean, mean - half, mean + half)


def half_samples(statistic: Callable[[np.ndarray], float], count: int, draws: int = 500, seed: int = 0) -> Estimate:
    """Value on all of `count` samples, and the percentile interval over random halves of them.

    A half drawn without replacement varies as much as a bootstrap sample of the whole, and holds no sample twice:
    a repeated sample would agree with itself, which inflates correlations of pairs and CKA.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.permutation(count)[: count // 2]) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(statistic(np.arange(count)), float(low), float(high))


def cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosine similarity of every pair of rows."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of the values; ties, which real similarities do not have, are broken by position."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def pair_correlation(ours: np.ndarray, theirs: np.ndarray, draw: np.ndarray, rank: bool = False) -> float:
    """Pearson (or Spearman) correlation of two similarity matrices over the pairs of the drawn samples."""
    i, j = np.triu_indices(len(draw), 1)
    a, b = ours[draw[i], draw[j]], theirs[draw[i], draw[j]]
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1] if rank else np.corrcoef(a, b)[0, 1])


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA with the unbiased HSIC estimator (Song et al. 2012): 0 for unrelated outputs at any width.

    The usual, biased estimator comes close to 1 for anything once there are fewer samples than features.
    """
    k, m = x @ x.T, y @ y.T
    return float(_hsic(k, m) / np.sqrt(_hsic(k, k) * _hsic(m, m)))


def _hsic(k: np.ndarray, m: np.ndarray) -> float:
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    total = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return float(total / (n * (n - 3)))


def show_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Lay out text columns, the first to the left and the others to the right."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        return "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def markdown_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """The same as a Markdown table."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
