"""The pipeline: seeds, samples, guidance, saving, and what is refused when parts do not belong together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.diffusion.tiny_generator import (
    CONFIG,
    KINDS,
    LAYOUT,
    PHRASES,
    make_base,
    make_denoiser,
    make_pipeline,
    save_encoder,
)
from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.lora import fresh_adapters
from weightgen.diffusion.phrases import PhraseBook
from weightgen.diffusion.pipeline import DENOISERS, WeightGenerationPipeline
from weightgen.diffusion.schedules import make_scheduler
from weightgen.diffusion.text import TextEncoder, load_encoder
from weightgen.errors import InputError, UsageError
from weightgen.models.translator import Translator

pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT = "strong sepia tone, then soft blur at 40 %"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(directory: Path) -> TextEncoder:
    return load_encoder(str(directory))


@pytest.fixture
def saved(encoder: TextEncoder, tmp_path: Path) -> Path:
    make_pipeline(encoder, guidance=2.0, steps=2).save_pretrained(tmp_path / "generator")
    return tmp_path / "generator"


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_an_untrained_generator_gives_the_base(encoder: TextEncoder) -> None:
    base = make_base().state_dict()
    for schedule in ("ddim", "flow"):
        pipeline = make_pipeline(encoder, schedule=schedule, trained=False)
        for steps in (1, 7):
            [found] = pipeline(PROMPT, steps=steps, guidance=3.0, generator=seed()).state_dicts
            assert list(found) == list(base)
            for name, tensor in found.items():
                assert torch.allclose(tensor, base[name], atol=1e-7), (schedule, steps, name)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_decide_samples(encoder: TextEncoder, kind: str) -> None:
    pipeline = make_pipeline(encoder, kind)
    found = pipeline(PROMPT, steps=3, samples=3, generator=seed())
    assert found.blocks.shape == (3, len(LAYOUT), LAYOUT.size)
    assert torch.equal(pipeline(PROMPT, steps=3, samples=3, generator=seed()).blocks, found.blocks)
    one = pipeline(PROMPT, steps=3, generator=seed())
    assert torch.allclose(one.blocks, found.blocks[:1], atol=1e-5)  # whatever the number of samples
    assert not torch.allclose(found.blocks[1], found.blocks[0], atol=1e-3)
    other = pipeline(PROMPT, steps=3, generator=seed(1))
    assert not torch.allclose(other.blocks, one.blocks, atol=1e-3)
    two = pipeline(["pencil sketch", PROMPT], steps=3, samples=2, generator=seed())
    assert len(two.state_dicts) == 4
    translator = Translator(CONFIG)
    translator.load_state_dict(two.state_dicts[0])
    last = pipeline.base.assemble(pipeline.denoiser.denormalise(two.blocks[3:]))
    assert all(torch.equal(two.state_dicts[3][name], tensor[0]) for name, tensor in last.items())


def test_adapters_are_merged_into_complete_networks(encoder: TextEncoder, tmp_path: Path) -> None:
    complete = make_base().state_dict()
    adapters = fresh_adapters(CONFIG.shapes, 2, seed())
    layout = Layout({n: t.shape for n, t in adapters.items()}, 24)
    base = BaseNetwork.of(adapters, layout, CONFIG.model_dump(mode="json"), complete)
    denoiser = DENOISERS["joint"](layout.to_json(), base.sha256, 16, width=16, heads=2)
    book = PhraseBook.of(PHRASES, encoder.name, encoder.embed(PHRASES))
    pipeline = WeightGenerationPipeline(denoiser, make_scheduler(), base, book)
    [same] = pipeline(PROMPT, generator=seed()).state_dicts  # untrained: the adapters' second factor is zero
    assert all(torch.equal(same[name], tensor) for name, tensor in complete.items())
    torch.nn.init.normal_(denoiser.get_parameter("leave.weight"), generator=seed())
    pipeline.save_pretrained(tmp_path)
    found = load_generator(tmp_path)(PROMPT, generator=seed())
    assert all(
        torch.equal(found.state_dicts[0][n], t) for n, t in pipeline(PROMPT, generator=seed()).state_dicts[0].items()
    )
    own = layout.join(found.blocks + layout.split(adapters))
    up, down = own["net.0.lora_B.weight"][0].flatten(1), own["net.0.lora_A.weight"][0].flatten(1)
    changed = found.state_dicts[0]["net.0.weight"] - complete["net.0.weight"]
    assert torch.allclose(changed, (up @ down).reshape(changed.shape), atol=1e-5)
    assert int(torch.linalg.matrix_rank(changed.flatten(1), atol=1e-4)) == 2


def test_prompts_guidance_and_steps_matter(encoder: TextEncoder) -> None:
    pipeline = make_pipeline(encoder)
    found = pipeline(PROMPT, steps=2, guidance=1.0, generator=seed()).blocks
    for changed in (
        pipeline("pencil sketch", steps=2, guidance=1.0, generator=seed()),
        pipeline("", steps=2, guidance=1.0, generator=seed()),
        pipeline(PROMPT.replace("40", "80"), steps=2, guidance=1.0, generator=seed()),
        pipeline(PROMPT, steps=2, guidance=2.0, generator=seed()),
        pipeline(PROMPT, steps=5, guidance=1.0, generator=seed()),
    ):
        assert not torch.allclose(changed.blocks, found, atol=1e-3)
    nothing = pipeline(PROMPT, steps=2, guidance=0.0, generator=seed())
    assert torch.allclose(nothing.blocks, pipeline("", steps=2, generator=seed()).blocks, atol=1e-5)
    defaults = make_pipeline(encoder, steps=2, guidance=2.0)
    told = pipeline(PROMPT, steps=2, guidance=2.0, generator=seed())
    assert torch.equal(defaults(PROMPT, generator=seed()).blocks, told.blocks)


def test_snapping_is_a_choice(encoder: TextEncoder) -> None:
    pipeline = make_pipeline(encoder)
    pipeline.phrases.embeddings.copy_(encoder.embed(PHRASES))
    plain = pipeline("graphite sketch", generator=seed()).blocks
    snapped = pipeline("graphite sketch", generator=seed(), snap=True).blocks
    nearest = pipeline.phrases.nearest(encoder.embed(["graphite sketch"]), 1)[0][0]
    assert nearest.cosine >= pipeline.phrases.far
    assert torch.equal(snapped, pipeline(nearest.text, generator=seed()).blocks)
    assert not torch.allclose(snapped, plain, atol=1e-4)
    assert torch.equal(make_pipeline(encoder, snap=True)("graphite sketch", generator=seed()).blocks, snapped)


def test_further_samples_read_the_prompt_in_other_ways(encoder: TextEncoder) -> None:
    pipeline = make_pipeline(encoder)
    pipeline.phrases.embeddings.copy_(encoder.embed(PHRASES))
    said, other = pipeline("graphite sketch", samples=2, generator=seed(), reread=True).blocks
    plain = pipeline("graphite sketch", samples=2, generator=seed()).blocks
    snapped = pipeline("graphite sketch", samples=2, generator=seed(), snap=True).blocks
    assert torch.equal(said, plain[0])
    assert torch.allclose(other, snapped[1], atol=1e-6)
    assert not torch.allclose(other, plain[1], atol=1e-4)
    assert pipeline("", samples=2, generator=seed(), reread=True).blocks.shape[0] == 2
    both = pipeline(["soft sketch", "graphite sketch"], samples=2, generator=seed(), reread=True).blocks
    later = seed()
    for blocks in both[:2]:
        torch.randn(blocks.shape, generator=later)  # the noise of the first prompt's samples
    alone = pipeline("graphite sketch", samples=2, generator=later, reread=True).blocks
    assert torch.allclose(both[2:], alone, atol=1e-6)


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
