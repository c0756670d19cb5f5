"""WINNER: centroids known in closed form, the authors' formulas, and noise in two tensors and nowhere else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError
from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.winner import psi, spectral_centroid, strengths, winner_, winner_strengths


def wave(cycles: int, samples: int, offset: float = 0.0) -> Tensor:
    """A cosine (samples, 1) with a whole number of cycles."""
    return (offset + torch.cos(2 * math.pi * cycles * torch.arange(samples, dtype=torch.float64) / samples))[:, None]


def test_centroids_that_are_known() -> None:
    assert float(spectral_centroid(wave(30, 200))) == pytest.approx(30 / 200)
    # The mean's line is n times it, the cosine's n / 2 times its amplitude.
    assert float(spectral_centroid(wave(30, 200, offset=0.25))) == pytest.approx(30 / 200 * 0.5 / 0.75)
    assert float(spectral_centroid(wave(100, 200))) == pytest.approx(0.5)
    impulse = torch.zeros(200, 1)
    impulse[7] = 3
    assert float(spectral_centroid(impulse)) == pytest.approx(0.25)
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    assert float(spectral_centroid(noise)) == pytest.approx(0.25, abs=0.003)
    assert float(spectral_centroid(torch.full((200, 1), -0.7))) == pytest.approx(0, abs=1e-9)
    assert float(spectral_centroid(torch.zeros(200, 1))) == 0
    assert float(spectral_centroid(5 * wave(30, 200, 0.25))) == pytest.approx(0.1)  # amplitude does not matter


def test_each_channel_has_its_own_centroid() -> None:
    channels = torch.cat([wave(10, 100), wave(30, 100), torch.zeros(100, 1)], -1)
    for centroid in ("raster", "rows"):  # the same of 1-D signals
        assert spectral_centroid(channels, centroid).tolist() == pytest.approx([0.1, 0.3, 0], abs=1e-9)
    assert psi(channels) == pytest.approx(2 * (0.1 + 0.3 + 0) / 3 / 3)


def test_rows_and_raster_differ_in_what_they_see() -> None:
    along = wave(8, 64).T.expand(32, 64).unsqueeze(-1)
    assert float(spectral_centroid(along, "rows")) == pytest.approx(8 / 64)
    assert float(spectral_centroid(along, "raster")) == pytest.approx(8 / 64)
    stripes = torch.tensor([1.0, -1.0]).repeat(16)[:, None, None].expand(32, 64, 1)
    assert float(spectral_centroid(stripes, "rows")) == pytest.approx(0, abs=1e-9)
    # Read as one row it is a square wave of period 128: odd harmonics, of amplitude 1 / sin(pi m / 128).
    odd = range(1, 64, 2)
    sizes = [1 / math.sin(math.pi * m / 128) for m in odd]
    expected = sum(m / 128 * a for m, a in zip(odd, sizes, strict=True)) / sum(sizes)
    assert float(spectral_centroid(stripes)) == pytest.approx(expected)
    halves = torch.stack([wave(8, 64), torch.zeros(64, 1)])  # a silent row counts
    assert float(spectral_centroid(halves, "rows")) == pytest.approx(4 / 64)


def test_strengths_are_those_of_the_authors() -> None:
    assert strengths(0.5, 1, 1) == pytest.approx((3500 * (1 - math.exp(-3.5)), 1.5))
    assert strengths(0.5, 1, 1, decay=5.0) == pytest.approx((3500 * (1 - math.exp(-2.5)), 1.5))
    assert strengths(0.5, 1, 2) == pytest.approx((50 * (1 - math.exp(-2.5)), 0.2))
    assert strengths(0.5, 2, 1) == pytest.approx((3500 * (1 - math.exp(-1.75)), 0.75))
    assert strengths(0, 3, 2) == (0, 0)


def test_colours_divide_twice() -> None:
    grey = torch.randn(16, 16, 1, generator=torch.Generator().manual_seed(0))
    colour = grey.expand(16, 16, 3)
    assert psi(colour) == pytest.approx(psi(grey) / 3)
    assert winner_strengths([colour], 2)[1] == pytest.approx(winner_strengths([grey], 2)[1] / 9)


def test_many_signals_give_the_strengths_of_their_mean_centroid() -> None:
    signals = [wave(10, 100), wave(30, 100), wave(60, 200)]
    mean = 2 * (0.1 + 0.3 + 0.3) / 3
    assert winner_strengths(signals, 1) == pytest.approx((3500 * (1 - math.exp(-7 * mean)), 3 * mean))
    assert winner_strengths(iter(signals), 1, decay=5.0)[0] == pytest.approx(3500 * (1 - math.exp(-5 * mean)))
    image = torch.rand(8, 12, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for centroid in ("raster", "rows"):
        assert winner_strengths([image], 2, centroid) == strengths(psi(image, centroid), 1, 2)
    assert winner_strengths([image], 2, "rows") != winner_strengths([image], 2)


def weights(field: Field) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in field.named_parameters()}


def test_noise_is_added_to_two_tensors_of_a_siren() -> None:
    # The first frequency is not the divisor.
    config = field_config("siren", {"hidden": 300, "hidden_layers": 4, "first_frequency": 3000.0, "frequency": 20.0})
    field = Field(config, seed=9)
    winner_(field, torch.Generator().manual_seed(3), s0=40.0, s1=0.3)
    base, found = weights(Field(config, seed=3)), weights(field)
    noise = {name: found[name] - base[name] for name in base}
    for name, strength in (("net.0.weight", 40.0), ("net.1.weight", 0.3)):
        added = noise.pop(name)
        assert float(added.std()) == pytest.approx(strength / 20, rel=0.06), name
        assert abs(float(added.mean())) < 4 * strength / 20 / math.sqrt(added.numel()), name
        kurtosis = float(added.pow(4).mean() / added.square().mean() ** 2)
        assert kurtosis == pytest.approx(3, rel=0.25), name  # normal; uniform has 1.8
    assert all(not added.any() for added in noise.values())


def test_noise_never_adds_up() -> None:
    config = field_config("siren", {"hidden": 64, "hidden_layers": 2})
    once, twice = Field(config, seed=1), Field(config, seed=2)
    winner_(twice, torch.Generator().manual_seed(7), 500.0, 5.0)
    for field in (once, twice):
        winner_(field, torch.Generator().manual_seed(3), 40.0, 0.3)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))
    winner_(twice, torch.Generator().manual_seed(4), 40.0, 0.3)
    assert not torch.equal(once.net[0].weight, twice.net[0].weight)
    winner_(twice, torch.Generator().manual_seed(1), 0.0, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(Field(config, seed=1).parameters(), twice.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("finer", {}, "found finer, encoding none, 3 hidden layers"),
        ("gauss", {}, "found gauss"),
        ("siren", {"hidden_layers": 1}, "found sine, encoding none, 1 hidden layers"),
        ("siren", {"encoding.kind": "fourier", "encoding.size": 4}, "found sine, encoding fourier"),
    ],
)
def test_other_fields_are_refused(name: str, arguments: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match="WINNER needs a sine field without an encoding") as found:
        winner_(Field(field_config(name, {"hidden": 8, **arguments})), torch.Generator(), 1.0, 1.0)
    assert text in str(found.value)


def test_strengths_that_cannot_be_are_refused_before_a_field_is_touched() -> None:
    field = Field(field_config("siren", {"hidden": 8, "hidden_layers": 2}))
    before = {name: p.clone() for name, p in weights(field).items()}
    for s0, s1, text in ((-1.0, 0.0, "s0: .* found -1"), (1.0, math.nan, "s1: .* found nan")):
        with pytest.raises(UsageError, match=text):
            winner_(field, torch.Generator(), s0, s1)
    assert all(torch.equal(before[name], p) for name, p in weights(field).items())
    with pytest.raises(UsageError, match="formulas for 1-D and 2-D signals: set s0 and s1 of 3-D ones by hand"):
        strengths(0.5, 1, 3)
    with pytest.raises(UsageError, match="decay: expected a positive number, found 0"):
        strengths(0.5, 1, 1, decay=0.0)


def test_signals_that_have_no_centroid_are_refused() -> None:
    with pytest.raises(UsageError, match=r"found 'row'\. Did you mean 'rows'\?"):
        spectral_centroid(wave(1, 10), "row")  # type: ignore[arg-type]
    for signal in (torch.zeros(9, 1, dtype=torch.uint8), torch.zeros(9), torch.zeros(0, 1)):
        with pytest.raises(UsageError, match="signal: expected floating samples"):
            spectral_centroid(signal)
    with pytest.raises(InputError, match="not finite"):
        psi(torch.tensor([[1.0], [math.inf], [0.0]]))
    with pytest.raises(UsageError, match="at least one signal"):
        winner_strengths([], 1)
    with pytest.raises(UsageError, match=r"signal 1: expected 1 axes and 1 channels, found the shape \(5, 2\)"):
        winner_strengths([wave(1, 5), torch.ones(5, 2)], 1)
    with pytest.raises(UsageError, match=r"signal 0: expected 2 axes .* found the shape \(5, 1\)"):
        winner_strengths([wave(1, 5)], 2)
    with pytest.raises(UsageError, match="set s0 and s1 of 3-D ones by hand"):
        winner_strengths([torch.rand(4, 4, 4, 1)], 3)
