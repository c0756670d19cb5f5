"""The image translator: alone and stacked, on crops and on whole photos, on disk and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from weightgen.diffusion.quality import l1, psnr, ssim
from weightgen.diffusion.translator import load_translator, save_translator
from weightgen.errors import InputError
from weightgen.models.positions import positions_of
from weightgen.models.translator import Translator, TranslatorConfig, _one_by_one, _side_by_side, translate
from weightgen.publishing.checkpoint import publish

CONFIG = TranslatorConfig(width=6, layers=3)


def taught(seed: int, config: TranslatorConfig = CONFIG) -> Translator:
    """A translator that changes something."""
    found = Translator(config, seed)
    last = found.get_parameter(f"net.{2 * config.layers - 2}.weight")
    torch.nn.init.normal_(last, std=0.3, generator=torch.Generator().manual_seed(seed))
    return found


def stacked(*translators: Translator) -> dict[str, Tensor]:
    return {n: torch.stack([t.get_parameter(n).detach() for t in translators]) for n in translators[0].config.shapes}


def test_an_untaught_one_changes_nothing() -> None:
    photo = torch.rand(2, 3, 12, 9)
    assert torch.equal(Translator(CONFIG)(photo), photo)
    one, again, other = (Translator(CONFIG, seed).get_parameter("net.2.weight") for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_names_and_sizes_are_those_of_the_configuration() -> None:
    for config in (CONFIG, TranslatorConfig(), TranslatorConfig(position=False, layers=2)):
        assert {n: tuple(t.shape) for n, t in Translator(config).state_dict().items()} == config.shapes
    assert sum(p.numel() for p in Translator().parameters()) == 23551
    assert TranslatorConfig(position=False).shapes["net.0.weight"] == (28, 3, 3, 3)


def test_it_is_a_residual_stack_of_convolutions() -> None:
    """Against torch's own modules, which repeat the edge by themselves."""
    translator, photo = taught(0, TranslatorConfig(width=5, layers=3, position=False)), torch.rand(2, 3, 7, 8)
    hidden = 2 * photo - 1
    for i in range(0, 5, 2):
        layer = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
        layer.weight, layer.bias = translator.net[i].weight, translator.net[i].bias  # type: ignore[assignment]
        hidden = layer(hidden)
        hidden = torch.nn.functional.leaky_relu(hidden, 0.1) if i < 4 else hidden
    assert torch.allclose(translator(photo), photo + hidden, atol=1e-5)


def test_stacked_networks_do_what_each_does_alone() -> None:
    networks = [taught(i) for i in range(3)]
    own = torch.rand(3, 2, 3, 10, 11)
    places = positions_of(30, 30)[None, None, :, 5:15, 7:18]
    together = translate(CONFIG, stacked(*networks), own, places)
    for i, network in enumerate(networks):
        assert torch.equal(together[i], network(own[i], places[0].expand(2, -1, -1, -1)))
    shared = translate(CONFIG, stacked(*networks), own[:1], places)
    assert torch.equal(shared[0], together[0])
    assert not torch.equal(shared[1], together[1])


def test_both_ways_to_run_a_stack_give_the_same() -> None:
    """The one for a GPU cannot be chosen on a CPU, but must do the same."""
    tensors = {n: t.requires_grad_() for n, t in stacked(*[taught(i) for i in range(4)]).items()}
    inputs = torch.rand(1, 2, 6, 9, 9)
    found = []
    for way in (_one_by_one, _side_by_side):
        made = way(CONFIG, tensors, inputs)
        found.append([made, *torch.autograd.grad(made.square().sum(), list(tensors.values()))])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(*found, strict=True))


def test_a_crop_with_its_position_is_a_part_of_the_whole() -> None:
    translator, photo = taught(3), torch.rand(1, 3, 24, 30)
    whole = translator(photo)
    places = positions_of(24, 30)[None]
    crop = translator(photo[..., 4:20, 6:24], places[..., 4:20, 6:24])
    assert torch.allclose(crop[..., 3:-3, 3:-3], whole[..., 7:17, 9:21], atol=1e-5)
    without = translator(photo[..., 4:20, 6:24])
    assert float((without - crop)[..., 3:-3, 3:-3].detach().abs().max()) > 1e-3


def test_positions() -> None:
    x, y, screen = positions_of(4, 8)
    assert x[0].tolist() == [-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875]
    assert y[:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert torch.equal(positions_of(50, 60)[2, :4, :8], screen)  # counted in pixels, whatever the photo's size
    wide = positions_of(64, 64)[2]
    assert 0 <= float(wide.min()) < 0.05
    assert 0.95 < float(wide.max()) <= 1


def test_on_disk_and_back(tmp_path: Path) -> None:
    translator = taught(5)
    with publish(tmp_path / "start") as staged:
        save_translator(translator, staged.path)
    again = load_translator(tmp_path / "start")
    assert again.config == CONFIG
    photo = torch.rand(1, 3, 8, 8)
    assert torch.equal(again(photo), translator(photo))


def test_broken_ones_are_refused(tmp_path: Path) -> None:
    save_translator(taught(5), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for changed, wording in (
        ({"width": 0}, r"config\.json: width: input should be greater than or equal to 1"),
        ({"breadth": 3}, r"config\.json: breadth: extra inputs are not permitted"),
        ({"width": 7}, r"'net\.0\.bias' is \(6,\), expected \(7,\) by config\.json"),
        ({"layers": 4}, r"'net\.4\.bias' is \(3,\), expected \(6,\)"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(InputError, match=wording):
            load_translator(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"net.0.bias": torch.zeros(6)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"'net\.0\.weight' is missing, expected \(6, 6, 3, 3\)"):
        load_translator(tmp_path)


def test_measures_of_quality() -> None:
    wanted = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = torch.stack([wanted[0] + 0.1, wanted[1]])
    assert l1(outputs, wanted).tolist() == pytest.approx([0.1, 0])
    assert psnr(outputs, wanted).tolist() == pytest.approx([20, 60], abs=1e-3)
    assert float(ssim(outputs, wanted)[1]) == pytest.approx(1)
    noise = wanted.flip(-1)
    assert float(ssim(noise, wanted)[0]) < 0.1


def test_similarity_agrees_with_skimage() -> None:
    """Its windows leave the borders out, and so does the comparison."""
    from skimage.metrics import structural_similarity

    generator = torch.Generator().manual_seed(1)
    wanted = torch.rand(1, 1, 3, 40, 40, generator=generator)
    made = (wanted + 0.2 * torch.randn(wanted.shape, generator=generator)).clamp(0, 1)
    images = [t[0, 0].permute(1, 2, 0).double().numpy() for t in (wanted, made)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    similarity: Any = structural_similarity
    _, whole = similarity(*images, data_range=1, channel_axis=2, full=True, **options)
    assert float(ssim(made, wanted)[0]) == pytest.approx(float(whole.mean()), abs=0.02)
