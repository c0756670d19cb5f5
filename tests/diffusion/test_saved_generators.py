"""Generators in directories: saved, read again, broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.diffusion.test_weight_pipeline import PROMPT, directory, encoder, saved, seed
from tests.diffusion.tiny_generator import (
    CONFIG,
    PHRASES,
    make_base,
    make_denoiser,
    make_pipeline,
)
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import DENOISERS, WeightGenerationPipeline
from weightgen.diffusion.schedules import make_scheduler
from weightgen.diffusion.text import TextEncoder, load_encoder
from weightgen.errors import InputError, UsageError

__all__ = ["directory", "encoder", "saved"]


@pytest.mark.parametrize("kind", DENOISERS)
@pytest.mark.parametrize("schedule", ["ddim", "flow"])
def test_a_saved_generator_is_the_same(encoder: TextEncoder, kind: str, schedule: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(encoder, kind, schedule, guidance=2.0, steps=3)
    found = pipeline(PROMPT, samples=2, generator=seed())
    pipeline.save_pretrained(tmp_path / "first")
    again = load_generator(tmp_path / "first")
    assert torch.equal(again(PROMPT, samples=2, generator=seed()).blocks, found.blocks)  # encoder found by name
    assert again.sha256 == pipeline.sha256
    again.save_pretrained(tmp_path / "second")
    files = sorted(p.relative_to(tmp_path / "first") for p in (tmp_path / "first").rglob("*") if p.is_file())
    assert {f.suffix for f in files} == {".json", ".safetensors"}
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
        assert (tmp_path / "first" / file).stat().st_mode & 0o777 == (
            tmp_path / "first" / "model_index.json"
        ).stat().st_mode & 0o777
    assert str(tmp_path) not in "".join(
        (tmp_path / "second" / f).read_text() for f in files if f.suffix == ".json" and "phrases" not in f.parts
    )


def test_the_encoder_can_be_saved_too(encoder: TextEncoder, saved: Path, tmp_path: Path) -> None:
    pipeline = load_generator(saved)
    pipeline.include_encoder()
    pipeline.save_pretrained(tmp_path / "whole")
    assert (tmp_path / "whole" / "text_encoder" / "model.safetensors").is_file()
    assert not (saved / "text_encoder").exists()
    index = tmp_path / "whole" / "phrases" / "config.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "encoder": "package:nowhere"}))
    whole = load_generator(tmp_path / "whole")
    assert torch.equal(whole(PROMPT, generator=seed()).blocks, pipeline(PROMPT, generator=seed()).blocks)
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(tmp_path / "whole" / part)
    with pytest.raises(InputError, match="cannot be read"):
        load_generator(tmp_path / "whole")


def test_parts_that_do_not_belong_together(encoder: TextEncoder, tmp_path: Path) -> None:
    base, book = make_base(), PhraseBook.of(PHRASES, encoder.name, encoder.embed(PHRASES))
    with pytest.raises(
        InputError, match=r"trained for another base: sha256 [0-9a-f]{16}..., found [0-9a-f]{16}"
    ) as refused:
        WeightGenerationPipeline(make_denoiser("joint", make_base(2)), make_scheduler(), base, book)
    assert make_base(2).sha256[:16] in str(refused.value)
    other = DENOISERS["joint"](Layout(CONFIG.shapes, 32).to_json(), base.sha256, 16, width=16, heads=2)
    with pytest.raises(InputError, match="for another architecture than the base: layout"):
        WeightGenerationPipeline(other, make_scheduler(), base, book)
    pipeline = make_pipeline(encoder)
    with pytest.raises(InputError) as stranger:
        pipeline.use_encoder(load_encoder())
    assert "another one than the generator was trained with" in str(stranger.value)
    assert "--encoder" in str(stranger.value)


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_tensor(file: Path, name: str, value: float | None) -> None:
    tensors = load_file(file)
    if value is None:
        del tensors[name]
    else:
        tensors[name].view(-1)[0] = value
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda d: edit_tensor(d / "base/diffusion_pytorch_model.safetensors", "net.0.bias", 1.0), "another base"),
        (
            lambda d: edit_tensor(d / "denoiser/diffusion_pytorch_model.safetensors", "std", float("nan")),
            "'std' has values",
        ),
        (lambda d: edit_tensor(d / "denoiser/diffusion_pytorch_model.safetensors", "leave.bias", None), "leave.bias"),
        (lambda d: edit_json(d / "denoiser/config.json", width=32), "cannot be read"),
        (lambda d: edit_json(d / "denoiser/config.json", layout={}), "expected a layout of blocks"),
        (lambda d: edit_json(d / "model_index.json", denoiser=["os", "system"]), "cannot be read"),
        (lambda d: edit_json(d / "model_index.json", _class_name="DDPMPipeline"), "found DDPMPipeline"),
        (lambda d: (d / "denoiser/config.json").write_text("{"), "denoiser"),
        (lambda d: (d / "phrases/diffusion_pytorch_model.safetensors").unlink(), "No such file"),
        (lambda d: (d / "base/diffusion_pytorch_model.safetensors").write_bytes(b"\x00" * 64), "base"),
    ],
)
def test_a_broken_generator_is_refused(saved: Path, break_it: object, words: str) -> None:
    load_generator(saved)
    break_it(saved)  # type: ignore[operator]
    with pytest.raises(InputError) as refused:
        load_generator(saved)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


def test_no_pickle_is_read(saved: Path) -> None:
    file = saved / "denoiser" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(InputError):
        load_generator(saved)
    with pytest.raises(OSError, match="safetensors"):
        WeightGenerationPipeline.from_pretrained(saved, use_safetensors=False)
    with pytest.raises(UsageError, match=r"no generator here \(model_index.json is missing\)"):
        load_generator(saved / "denoiser")
