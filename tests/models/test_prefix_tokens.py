"""Class and register tokens: a target with fewer keeps the first ones, and its grid is the source's grid."""

from __future__ import annotations

import pytest
import timm
import torch
import transformers

import weightgen
from tests.zoo.encoders import DINO
from tests.zoo.vision import VIT
from weightgen.models.proof import randomise


def timm_vit(**changes: object) -> torch.nn.Module:
    model = timm.create_model("vit_tiny_patch16_224", **{**VIT, **changes})
    randomise(model, seed=6)
    return model


def dinov2(registers: int) -> torch.nn.Module:
    config = transformers.Dinov2WithRegistersConfig(**DINO, num_register_tokens=registers)
    model = transformers.Dinov2WithRegistersModel(config)
    randomise(model, seed=6)
    return model


@pytest.mark.parametrize("kept", [1, 3])
def test_fewer_registers_are_the_first_ones(kept: int) -> None:
    for source, target, name in (
        (timm_vit(reg_tokens=4), timm_vit(reg_tokens=kept), "reg_token"),
        (dinov2(4), dinov2(kept), "embeddings.register_tokens"),
    ):
        weightgen.subclone(source, target)
        assert torch.equal(target.state_dict()[name], source.state_dict()[name][:, :kept])


def test_more_registers_are_left_at_their_own_initialisation() -> None:
    for source, target, name in (
        (timm_vit(reg_tokens=1), timm_vit(reg_tokens=2), "reg_token"),
        (dinov2(1), dinov2(2), "embeddings.register_tokens"),
    ):
        before = target.state_dict()[name].clone()
        plan = weightgen.subclone(source, target)
        assert [t.name for t in plan.tensors if t.action == "initialised" and t.name == name]
        assert torch.equal(target.state_dict()[name], before)


def test_a_target_without_prefix_tokens_takes_the_grid_alone() -> None:
    source = timm_vit(reg_tokens=2)
    target = timm_vit(class_token=False, reg_tokens=0, global_pool="avg")
    weightgen.subclone(source, target)
    positions = source.state_dict()["pos_embed"]
    assert torch.equal(target.state_dict()["pos_embed"], positions[:, -target.state_dict()["pos_embed"].shape[1] :])
    assert positions.shape[1] == target.state_dict()["pos_embed"].shape[1] + 3
