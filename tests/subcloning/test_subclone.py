"""What must hold of every transfer, for every family: nothing lost, nothing silent, and the result runs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import weightgen
from tests.zoo import Case, all_cases
from weightgen.errors import UsageError
from weightgen.models.proof import randomise
from weightgen.subcloning.plan import Plan

CASES = all_cases()


# What has no counterpart in the source, by (case, method): a weight per layer of another number of layers, and a
# dense layer where the source's block is sparse.
NEW = {
    ("WhisperForAudioClassification", "selection"): {"layer_weights"},
    ("WhisperForAudioClassification", "subcloning"): {"layer_weights"},
    ("qwen2-moe", "subcloning"): {f"model.layers.1.mlp.{p}_proj.weight" for p in ("gate", "up", "down")},
}


def build(case: Case, which: str) -> torch.nn.Module:
    model = case.build(which)
    randomise(model, seed=3)
    return model.eval()


def cut(case: Case, **options) -> tuple[torch.nn.Module, torch.nn.Module, Plan]:
    source, target = build(case, "source"), build(case, "target")
    plan = weightgen.subclone(source, target, **options)
    assert isinstance(plan, Plan)
    return source, target, plan


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_a_transfer_to_the_same_size_is_bit_exact(case: Case) -> None:
    source, target = build(case, "source"), case.build("source").eval()
    plan = weightgen.subclone(source, target)
    assert isinstance(plan, Plan)
    assert {t.action for t in plan.tensors} == {"copied"}
    expected = source.state_dict()
    for name, value in target.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
@pytest.mark.parametrize("method", ["selection", "subcloning"])
def test_a_smaller_target_is_covered_whole_and_runs(case: Case, method: str) -> None:
    importance = {"importance": "magnitude"} if method == "subcloning" else {}
    _, target, plan = cut(case, method=method, **importance)
    tied = set(getattr(target, "all_tied_weights_keys", None) or {})
    assert {t.name for t in plan.tensors} | tied >= {n for n, _ in target.named_parameters()}
    assert {t.name for t in plan.tensors if t.action == "initialised"} == NEW.get((case.id, method), set())
    assert plan.family != "by shape"
    assert plan.warnings == ()
    with torch.no_grad():
        output = target(**case.inputs())
    values = output if torch.is_tensor(output) else output[0]
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("case", [c for c in CASES if c.id in ("timm-vit", "llama", "bert")], ids=lambda c: c.id)
def test_importance_keeps_a_subset_that_permutation_cannot_move(case: Case) -> None:
    """Ranking by magnitude is equivariant: permuting the source first selects the same neurons."""
    from tests.models.test_families import layout_of
    from weightgen.models.proof import permute, random_permutations

    source = build(case, "source")
    moved = case.build("source").eval()
    moved.load_state_dict(source.state_dict())
    layout = layout_of(case, source)
    permutations = random_permutations(layout, np.random.default_rng(5))
    moved.load_state_dict(permute(source.state_dict(), layout, permutations), strict=False)
    outputs = []
    for model in (source, moved):
        target = build(case, "target")
        weightgen.subclone(model, target, method="subcloning")
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = target(**case.inputs())
        outputs.append(output if torch.is_tensor(output) else output[0])
    if not case.output_axes:
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-3, atol=1e-4)


def test_a_larger_target_is_refused_with_its_axis() -> None:
    case = next(c for c in CASES if c.id == "timm-vit")
    with pytest.raises(UsageError, match=r"axis embed: the target needs 32, the source has 16|depth layer"):
        weightgen.subclone(build(case, "target"), build(case, "source"))


def test_different_families_are_refused() -> None:
    import timm

    vit = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=1, num_heads=3, img_size=32)
    resnet = timm.create_model("resnet18")
    with pytest.raises(UsageError, match="different families"):
        weightgen.subclone(vit, resnet)
