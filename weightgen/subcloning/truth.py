"""What is known of a plan's axes: which way they were found, why no better way, and for what share of the values."""

from __future__ import annotations

import math

from weightgen.errors import CheckError, UsageError, printable
from weightgen.models.axes import Axis
from weightgen.subcloning.plan import WORDS, Plan, TensorPlan, Truth


def truth_of(plan: Plan, route: str, why: str, unexercised: frozenset[Axis] = frozenset()) -> Truth:
    """Return what is known of the axes that a plan cuts along."""
    counts = dict.fromkeys(WORDS, 0)
    for tensor in plan.tensors:
        counts[_kind(tensor, route, unexercised)] += math.prod(tensor.shape)
    total = sum(counts.values()) or 1
    return Truth(route, why, {word: round(count / total, 6) for word, count in counts.items()})


def _kind(tensor: TensorPlan, route: str, unexercised: frozenset[Axis]) -> str:
    if tensor.action in ("initialised", "copied"):
        return {"initialised": "new", "copied": "whole"}[tensor.action]
    if route == "shape":
        return "by shape"
    used = {axis for dim in tensor.dims for term in dim for axis in term}
    flat = any(axis.name.startswith("flat:") for axis in used)  # the published rule cuts products by their size
    return "by shape" if flat else "unexercised" if used & unexercised else "proven"


def check_truth(plan: Plan, require: str | None, allow_shape: bool, same_function: bool) -> None:
    """Raise UsageError for a blind cut that nobody asked for, CheckError for one that falls short of what is required.

    Where nothing is cut, and source and target compute the `same_function` of their weights, no axes are needed.
    """
    truth = plan.truth
    cut = sum(t.action not in ("initialised", "copied") for t in plan.tensors)
    if truth.route == "shape" and not allow_shape and (cut or not same_function):
        what = f"{cut} of {len(plan.tensors)} tensors would be cut by their sizes alone"
        if not cut:
            what = "all sizes agree, but the configurations do not"
        raise UsageError(
            f"no axes are known: {printable(truth.why, 240)}.\n"
            f"{what}: heads and packed parts may be misaligned.\nGo on all the same: --allow-shape"
        )
    short = [word for word in ("unexercised", "by shape") if truth.shares[word]]
    if require == "proven" and short:
        told = ", ".join(f"{truth.shares[word]:.2%} {WORDS[word]}" for word in short)
        raise CheckError(f"--require proven: {told} ({truth.route}).\nNothing was written. --dry-run shows the plan.")
