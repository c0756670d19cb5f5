"""Fits with learned rates: on pictures of other shapes and sizes than those that the rates were learned on."""

from __future__ import annotations

import math

import numpy as np
import torch
from skimage import data, transform

from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation
from weightgen.inr.search import EVERY
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import Signal
from weightgen.inr.start import Start

ALL = Adaptation(learned_steps=EVERY)


def start(hidden: int = 512, crop: int | None = 48) -> Start:
    """Harmonics with the rates that suit a square: 3 for the last layer, little for the others."""
    field = Field(field_config("harmonic", {"hidden": hidden, "offset": 0.5}))
    rates = torch.tensor([[1e-4, 1e-4, rate, 0.1] for rate in (3.5, 2.0)])
    return Start(field, make_kind("image", {"crop": crop}), 2, rates)


def astronaut(height: int, width: int) -> Signal:
    pixels = transform.resize(data.astronaut()[:256, 120:376], (height, width), anti_aliasing=True)
    return Signal("astronaut", torch.from_numpy(np.rint(pixels * 255).astype(np.uint8)))


def test_two_steps_suit_a_strip_as_well_as_a_square() -> None:
    """A third of a square's rows has three times as little to be changed: so much shorter the steps must be."""
    made = start()
    square, strip = (float(made.fit([astronaut(n, 48)], 2, ALL).final[0]) for n in (48, 16))
    before = float(made.fit([astronaut(16, 48)], 0, ALL).final[0])
    assert square > before + 8
    assert strip > square - 1
    assert float(start(crop=None).fit([astronaut(16, 48)], 1, ALL).losses[1, 0]) > 2 * 10 ** (-before / 10)


def test_rates_that_are_too_high_are_lowered_from_the_best_on() -> None:
    """A picture with far fewer pixels than waves is changed by each of them at once."""
    made, signals = start(2048), [astronaut(20, 20), astronaut(20, 20)]
    signals[1] = Signal("grey", torch.full((20, 20, 3), 128, dtype=torch.uint8))  # is there already
    run = made.fit(signals, 8, ALL, marks=range(9))
    assert run.losses[1, 0] > 1.5 * run.losses[0, 0]  # the first step is too long
    assert run.losses[2:, 0].min() < 0.1 * run.losses[0, 0]
    assert not run.diverged.any()
    alone = made.fit(signals[:1], 8, ALL)
    assert np.allclose(run.losses[:, 0], alone.losses[:, 0], rtol=1e-4)  # what one does is no matter of the others


def test_going_back_forgets_the_way_there() -> None:
    made, signal = start(2048), astronaut(20, 20)
    first = made.fit([signal], 1, ALL)
    assert first.losses[1, 0] > 1.5 * first.losses[0, 0]
    plain, with_momentum = (
        made.fit([signal], 2, ALL.model_copy(update={"momentum": momentum})).losses[2, 0] for momentum in (0.0, 0.9)
    )
    assert np.isclose(plain, with_momentum, rtol=1e-5)
    assert made.rates is not None
    share = 1 / (1 + math.sqrt(first.losses[1, 0] / first.losses[0, 0]))
    lowered = Start(made.field, made.kind, 1, (made.rates[1] * share).unsqueeze(0)).fit([signal], 1, ALL)
    assert np.isclose(plain, lowered.losses[1, 0], rtol=1e-4)  # the second step, from the start and shorter
