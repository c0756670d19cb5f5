"""Averages of networks: the variance that each had, and checkpoints made from checkpoints."""

from __future__ import annotations

import doctest
import json
import math
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.conftest import Command
from weightgen.errors import InputError, UsageError
from weightgen.inits import averaging
from weightgen.inits.averaging import average, average_modules, rule_of

VIT: tuple[str, dict[str, object]] = (
    "vit_tiny_patch16_224",
    {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3},
)


def drawn(count: int, shape: tuple[int, ...], seed: int = 0, scale: float = 0.02) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) + 0.3 for _ in range(count)]


def spread(values: Tensor) -> float:
    return float(values.double().var(unbiased=False))


@given(st.integers(1, 5), st.sampled_from([(7,), (4, 3), (2, 3, 3, 3)]), st.integers(0, 99))
def test_mean_and_variance_are_the_means_of_theirs(count: int, shape: tuple[int, ...], seed: int) -> None:
    weights = [(k + 1) * w for k, w in enumerate(drawn(count, shape, seed))]
    found, factor = average(weights)
    assert spread(found) == pytest.approx(sum(map(spread, weights)) / count, rel=1e-9)
    mean = torch.stack(weights).double().mean(0)
    assert float(found.mean()) == pytest.approx(float(mean.mean()), rel=1e-9)
    assert factor >= 1 - 1e-12
    centred, plain = found - found.mean(), mean - mean.mean()
    assert torch.allclose(centred, factor * plain, atol=1e-12)
    assert torch.allclose(average(weights, corrected=False)[0], mean, atol=1e-15)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_the_factor_is_the_square_root_of_the_number_of_independent_networks(count: int) -> None:
    assert average(drawn(count, (300, 300)))[1] == pytest.approx(math.sqrt(count), rel=0.01)
    plain, factor = average(drawn(count, (300, 300)), corrected=False)
    assert factor == 1
    assert spread(plain) == pytest.approx(0.02**2 / count, rel=0.02)  # what the correction is for


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_copies_of_one_network_are_a_fixed_point(count: int, dtype: torch.dtype) -> None:
    weight = drawn(1, (33, 20))[0].to(dtype)
    found, factor = average([weight] * count)
    assert factor == pytest.approx(1, abs=1e-12)
    assert torch.equal(found.to(dtype), weight)


def test_small_variances_are_kept_where_the_ports_epsilon_loses_them() -> None:
    weights = drawn(4, (200, 200), scale=0.002)  # a layer of variance 4e-6
    mean = torch.stack(weights).double().mean(0)
    ratio = math.sqrt(sum(map(spread, weights)) / 4 / (spread(mean) + 1e-6))
    port = (mean - mean.mean()) * ratio + mean.mean()
    assert spread(average(weights)[0]) == pytest.approx(4e-6, rel=0.03)
    assert spread(port) < 0.55 * 4e-6


def test_constants_pass_through() -> None:
    zeros, ones = torch.zeros(5), torch.ones(5)
    assert torch.equal(average([zeros, zeros])[0], zeros.double())
    assert torch.equal(average([zeros, ones])[0], 0.5 * ones.double())
    opposite = drawn(1, (8, 8))[0]
    assert average([opposite, -opposite])[1] == 1  # their mean is constant: there is nothing to scale
    assert not average([opposite, -opposite])[0].any()
    assert average([torch.tensor(2.0), torch.tensor(4.0)]) == (torch.tensor(3.0), 1.0)


@pytest.mark.parametrize(
    ("weights", "error", "text"),
    [
        ([], UsageError, "expected at least one tensor"),
        ([torch.zeros(2), torch.zeros(3)], UsageError, r"weights 1: .* of shape \[2\], found torch.float32 \[3\]"),
        ([torch.zeros(2, dtype=torch.long)], UsageError, r"weights 0: expected floating .* found torch.int64 \[2\]"),
        ([torch.zeros(2, device="meta")], UsageError, "weights 0: a tensor on the meta device has no values"),
        ([torch.zeros(2), torch.tensor([1.0, math.nan])], InputError, "weights 1: NaN or infinite"),
    ],
)
def test_what_has_no_average_is_refused(weights: list[Tensor], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        average(weights)


def test_counters_are_kept_and_running_variances_stay_positive() -> None:
    torch.manual_seed(0)
    models = [timm.create_model("resnet18", layers=(1, 1, 1, 1), channels=(4, 4, 4, 4)) for _ in range(3)]
    for k, model in enumerate(models):
        generator = torch.Generator().manual_seed(k)
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) ** 4)
            elif name.endswith("num_batches_tracked"):
                value.fill_(10 * k + 5)
    found, plain = average_modules(models), average_modules(models, corrected=False)
    assert int(found["bn1.num_batches_tracked"]) == 5
    running = average(model.state_dict()["bn1.running_var"] for model in models)[0]
    assert float(running.min()) < 0  # what the correction would make of variances
    assert all(float(v.min()) > 0 for n, v in found.items() if n.endswith("running_var"))
    assert spread(found["layer1.0.conv2.weight"]) > 1.5 * spread(plain["layer1.0.conv2.weight"])
    models[0].load_state_dict(found)


def test_rules() -> None:
    trained = {"bn1.weight"}
    assert rule_of("bn1.weight", True, trained) == "corrected"
    assert rule_of("bn1.weight", True, trained, corrected=False) == "mean"
    assert rule_of("bn1.running_var", True, trained) == "mean"
    assert rule_of("bn1.num_batches_tracked", False, trained) == "first"


def test_modules_that_differ_are_refused_with_the_tensor() -> None:
    pair = [torch.nn.Linear(2, 3), torch.nn.Linear(2, 4)]
    with pytest.raises(UsageError, match=r"module 1: 'weight' is \[4, 2\], in the first module \[3, 2\]"):
        average_modules(pair)
    with pytest.raises(UsageError, match=r"module 1: 'bias' is \[3\], in the first module absent"):
        average_modules([torch.nn.Linear(2, 3, bias=False), pair[0]])
    with pytest.raises(UsageError, match="at least one module"):
        average_modules([])
    with torch.no_grad():
        pair[0].weight[0, 0] = math.inf
    with pytest.raises(InputError, match="'weight': weights 0: NaN or infinite"):
        average_modules(pair[:1])


def test_examples() -> None:
    assert doctest.testmod(averaging).failed == 0


def published(path: Path, seed: int, kind: tuple[str, dict[str, object]] = VIT) -> Path:
    """A checkpoint directory as timm writes it."""
    from timm.models import save_for_hf

    torch.manual_seed(seed)
    save_for_hf(timm.create_model(kind[0], num_classes=5, **kind[1]), path, safe_serialization=True)
    return path


def test_the_command_averages_checkpoints(command: Command, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    parents = [load_file(published(tmp_path / n, k) / "model.safetensors") for k, n in enumerate(names)]
    outcome = command("average", *names, "--out", "made")
    assert outcome.code == 0, outcome.err
    assert "3 checkpoints, deviations x 1.7" in outcome.out
    assert command("verify", "made").code == 0
    model = timm.create_model(f"local-dir:{tmp_path / 'made'}", pretrained=True)
    for name, value in model.state_dict().items():
        expected, _ = average(p[name] for p in parents)
        assert torch.equal(value, expected.float()), name
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert [p["name"] for p in manifest["parents"]] == names
    assert len({p["files"]["model.safetensors"]["sha256"] for p in manifest["parents"]}) == 3
    assert manifest["factors"]["blocks.0.mlp.fc1.weight"] == pytest.approx(math.sqrt(3), rel=0.03)
    card = (tmp_path / "made" / "README.md").read_text()
    assert "average of 3 checkpoints" in card
    assert "- `b`\n" in card

    again = command("run", "made/recipe.yaml", "--out", "again")
    assert again.code == 0, again.err
    ours, theirs = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("made", "again"))
    assert ours == theirs
    plain = command("average", *names, "--plain", "--out", "plain", "--json")
    assert json.loads(plain.out)["factors"]["largest"] == 1
    found = load_file(tmp_path / "plain" / "model.safetensors")["blocks.0.mlp.fc1.weight"]
    assert spread(found) == pytest.approx(spread(parents[0]["blocks.0.mlp.fc1.weight"]) / 3, rel=0.1)
    assert command("average", "a", "a", "--out", "fixed").code == 0
    for name, value in load_file(tmp_path / "fixed" / "model.safetensors").items():
        assert torch.equal(value, parents[0][name]), name


def test_the_command_refuses_what_has_no_average(command: Command, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        published(tmp_path / name, seed)
    published(tmp_path / "wider", 0, (VIT[0], {**VIT[1], "embed_dim": 48}))
    published(tmp_path / "heads", 0, (VIT[0], {**VIT[1], "num_heads": 2}))
    command("average", "a", "--out", "x").refused(2, "at least two checkpoints, found 1")
    command("average", "--out", "x").refused(2, "at least two checkpoints, found 0")
    command("average", "a", "b").refused(2, "where to? Add --out DIR")
    command("average", "a", "wider", "--out", "x").refused(
        2, "wider is of another architecture than a", "'cls_token' is [1, 1, 48], expected [1, 1, 24]"
    )
    command("average", "a", "heads", "--out", "x").refused(2, "heads is of another architecture than a: axis ")
    command("average", "a", "./none", "--out", "x").refused(3, "./none: no such directory")
    tensors = load_file(tmp_path / "b" / "model.safetensors")
    broken = dict(tensors)
    del broken["norm.weight"]
    save_file(broken, tmp_path / "b" / "model.safetensors")
    command("average", "a", "b", "--out", "x").refused(3, "b: has no tensor 'norm.weight' (1 missing)")
    tensors["head.bias"][2] = math.nan
    save_file(tensors, tmp_path / "b" / "model.safetensors")
    command("average", "a", "b", "--out", "x").refused(3, "b: 'head.bias' has 1 NaN or infinite values")


def test_tensors_without_a_place_are_told(command: Command, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        published(tmp_path / name, seed)
    tensors = load_file(tmp_path / "b" / "model.safetensors")
    mixed = {name: value.bfloat16() for name, value in tensors.items()}
    save_file({**mixed, "extra.weight": torch.ones(2)}, tmp_path / "b" / "model.safetensors")
    outcome = command("average", "a", "b", "--out", "made")
    assert "b: 1 tensors have no place in vit_tiny_patch16_224 and are left out: extra.weight" in outcome.err
    made = load_file(tmp_path / "made" / "model.safetensors")
    assert made.keys() == tensors.keys()
    assert made["head.weight"].dtype == torch.float32
