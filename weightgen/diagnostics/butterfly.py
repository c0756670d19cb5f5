"""The butterfly test: what becomes of a small change of a start, once both have been trained.

Altintas et al., "The butterfly effect: neural network training trajectories are highly sensitive to initial
conditions", ICML 2025.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from weightgen.diagnostics.comparison import losses_between
from weightgen.diagnostics.measure import Measurement, Probe, Tensors
from weightgen.diagnostics.readings import readings
from weightgen.errors import CoverageError
from weightgen.models.derive import derive
from weightgen.models.layout import Layout
from weightgen.models.libraries import described
from weightgen.models.matching import match_weights
from weightgen.models.proof import permute

SHARES = tuple(k / 10 for k in range(11))
JOINED = 0.05
"""Share of the larger end's loss below which a barrier is read as none: our choice, the paper has no threshold."""


def barrier(losses: Sequence[float]) -> float:
    """Return max_a (L(a) - chord(a)) of losses at evenly spaced shares, the chord joining the ends; at least 0."""
    return max(loss - _chord(losses, i) for i, loss in enumerate(losses))


def barrier_at_highest(losses: Sequence[float]) -> float:
    """Return max_a L(a) less the chord there, as the authors' code has it: another number where the ends differ."""
    i = max(range(len(losses)), key=lambda k: losses[k])
    return losses[i] - _chord(losses, i)


def _chord(losses: Sequence[float], i: int) -> float:
    return losses[0] + i / (len(losses) - 1) * (losses[-1] - losses[0])


def linear_cka(one: Tensor, other: Tensor) -> float:
    """Return the centred kernel alignment of two sets of features, (items, numbers) each: 1 up to a rotation.

    Kornblith et al., "Similarity of neural network representations revisited", ICML 2019. Not a number where the
    features of one do not vary.
    """
    a, b = (t.double() - t.double().mean(0) for t in (one, other))
    norms = float((a.T @ a).norm()) * float((b.T @ b).norm())
    return float((a.T @ b).square().sum()) / norms if norms else math.nan


def butterfly(before: Probe, after: Probe) -> Measurement:
    """Return how far two trainings ended from each other: L2, loss barrier, both after alignment, and CKA.

    Alignment permutes the free axes of the second network, by its family's table or by derived axes, so that its
    weights come nearest to the first's; without either, only what needs none is returned. Raises UsageError where there
    is no loss.
    """
    one, other = before.parameters(), after.parameters()
    plain = losses_between(before, other, SHARES)
    numbers = {"l2": _distance(one, other), "barrier": barrier(plain), "barrier_at_highest": barrier_at_highest(plain)}
    aligned = _aligned(before, after)
    if aligned is not None:
        losses = losses_between(before, aligned, SHARES)
        numbers |= {"l2_aligned": _distance(one, aligned), "barrier_aligned": barrier(losses)}
        numbers |= {"barrier_at_highest_aligned": barrier_at_highest(losses)}
    features = [[*readings(probe).values()][-2] for probe in (before, after)]
    numbers["cka"] = linear_cka(*features)
    left = numbers.get("barrier_aligned", numbers["barrier"])
    joined = "in one basin" if left < JOINED * max(plain[0], plain[-1]) else "a barrier apart"
    how = "up to permutations" if aligned is not None else "without alignment, since no axes are known"
    return Measurement(
        "butterfly",
        numbers,
        f"the two ends are {joined} {how}",
        f"{before.items} items, {len(SHARES)} points",
    )


def _aligned(before: Probe, after: Probe) -> Tensors | None:
    """Return the second network's parameters in the order that is nearest to the first's."""
    layout = _layout(before)
    if layout is None:
        return None
    state = {n: t.detach() for n, t in after.model.state_dict().items()}
    moved = permute(state, layout, match_weights(before.model.state_dict(), state, layout))
    return {n: moved.get(n, p) for n, p in after.parameters().items()}


def _layout(probe: Probe) -> Layout | None:
    architecture = described(probe.model)
    try:
        found = architecture.layout()
    except CoverageError:  # a variant that the family's table does not know
        found = None
    if found is not None:
        return found
    try:
        return derive(architecture)
    except Exception:  # models are arbitrary code, and whatever one raises, it has no axes
        return None


def _distance(one: Tensors, other: Tensors) -> float:
    return math.sqrt(sum(float((p - other[n].to(p)).double().square().sum()) for n, p in one.items()))
