"""Masks: what they keep, that they are held, and files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.training.small_task import Regression, network, settings
from weightgen.errors import InputError, UsageError
from weightgen.models.masks import FILE, Mask, distance, load_mask, save_mask
from weightgen.pruning.freezing import first_tensors
from weightgen.training.held import freeze_
from weightgen.training.loop import train


def half(seed: int = 0) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    return Mask({"0.weight": torch.rand(16, 8, generator=generator) < 0.5})


def test_a_mask_counts_and_combines() -> None:
    mask = Mask({"a": torch.tensor([True, False, False]), "b": torch.tensor([[True]])})
    assert (mask.count, mask.density, mask.densities()) == (2, 0.5, {"a": 1 / 3, "b": 1.0})
    both = mask & Mask({"a": torch.tensor([True, True, False]), "c": torch.tensor([False])}, frozenset({"d"}))
    assert {n: k.tolist() for n, k in both.kept.items()} == {"a": [True, False, False], "b": [[True]], "c": [False]}
    assert both.frozen == {"d"}
    other = Mask({"a": torch.tensor([False, False, True]), "b": torch.tensor([[True]])})
    assert (distance(mask, mask), distance(mask, other)) == (0, 0.5)
    with pytest.raises(UsageError, match="expected two of the same tensors"):
        distance(mask, half())


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_training_keeps_what_is_masked_at_zero(ema: float) -> None:
    mask = half()
    model = network()
    mask.hold_(model)
    trained = train(model, Regression(), settings(ema=ema)).model
    weight = trained.get_parameter("0.weight").detach()
    assert torch.equal(weight != 0, mask.kept["0.weight"])
    # Applied once and not held, it does not last.
    model = network()
    mask.apply_(model)
    loose = train(model, Regression(), settings(ema=ema)).model.get_parameter("0.weight").detach()
    assert bool((loose[~mask.kept["0.weight"]] != 0).all())


def test_sgd_with_momentum_keeps_it_too() -> None:
    model, mask = network(0.0), half()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    mask.hold_(model)
    for _ in range(5):
        model(torch.randn(4, 8)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.equal(model.get_parameter("0.weight") != 0, mask.kept["0.weight"])


def test_frozen_tensors_are_the_same_to_the_bit() -> None:
    names = frozenset({"0.weight", "3.bias"})
    before = {n: p.detach().clone() for n, p in network().named_parameters()}
    model = network()
    Mask({}, names).hold_(model)
    trained = train(model, Regression(), settings(ema=0.0)).model
    for name, value in trained.named_parameters():
        assert torch.equal(before[name], value) == (name in names), name


def test_the_share_that_is_frozen_is_the_one_asked_for() -> None:
    sizes = {n: p.numel() for n, p in network().named_parameters()}  # 128, 16, 16, 1
    assert first_tensors(sizes, 0.0) == []
    assert first_tensors(sizes, 0.79) == ["0.weight"]
    assert first_tensors(sizes, 0.9) == ["0.weight", "0.bias"]
    assert first_tensors({f"{i}": 1 for i in range(1000)}, 0.25) == [f"{i}" for i in range(250)]
    model = network()
    assert freeze_(model, first_tensors(sizes, 0.9)) == pytest.approx(17 / 161)
    with pytest.raises(UsageError, match="at least 0 and below 1, found 1"):
        first_tensors(sizes, 1.0)
    with pytest.raises(UsageError, match="the model has no parameter 'x'"):
        freeze_(model, ["x"])


def test_a_mask_is_a_file(tmp_path: Path) -> None:
    mask = Mask(half().kept, frozenset({"3.bias"}))
    assert load_mask(tmp_path) is None
    save_mask(mask, tmp_path)
    found = load_mask(tmp_path)
    assert found is not None
    assert found.frozen == mask.frozen
    assert torch.equal(found.kept["0.weight"], mask.kept["0.weight"])
    assert found.kept["0.weight"].dtype == torch.bool


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda file: file.write_bytes(b"not a mask"), "mask.safetensors"),
        (lambda file: save_file({"a": torch.ones(2)}, file), "'a' is F32, expected BOOL"),
        (lambda file: save_file({"a": torch.ones(2) > 0}, file, {"frozen": "{"}), "expected a list of names"),
        (lambda file: save_file({"a": torch.ones(2) > 0}, file, {"frozen": json.dumps([1])}), "a list of names"),
        (lambda file: save_file({"a": torch.ones(2) > 0}, file, {"frozen": "[" * 100_000}), "a list of names"),
    ],
)
def test_broken_files_are_refused(break_it: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    break_it(tmp_path / FILE)
    with pytest.raises(InputError, match=text):
        load_mask(tmp_path)


def test_masks_of_other_models_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(UsageError, match=r"no parameter 'x\\x1b'"):
        Mask({"x\x1b": torch.ones(1) > 0}).hold_(model)
    with pytest.raises(UsageError, match=r"'0.weight' is \[2, 3\], the parameter is \[3, 2\]"):
        Mask({"0.weight": torch.ones(2, 3) > 0}).apply_(model)
