"""The pipeline: seeds, samples, guidance, saving, and what is refused when parts do not belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.diffusion.tiny_generator import (
    CONFIG,
    KINDS,
    LAYOUT,
    PHRASES,
    make_base,
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
