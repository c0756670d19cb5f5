"""Which frequencies should one layer of sines have? What two steps of descent find, with the two rates that suit best.

    python benchmarks/inr_harmonics.py PHOTOS

A field of one hidden layer is linear in its last one. Here only that moves, from zero, so two steps of descent are a
polynomial of a fixed matrix: its rates are chosen on 8 photos, what they reach is the mean of 12 others, all pixels.
"""

from __future__ import annotations

import argparse
import math
from itertools import product

import numpy as np
import torch
from torch import Tensor

from weightgen.inr.config import field_config
from weightgen.inr.field import Field
from weightgen.inr.signals import make_kind
from weightgen.inr.signals.kind import psnr

CHOSEN_ON, REPORTED = 8, 12
FIELDS: tuple[tuple[int, str, dict[str, float]], ...] = (
    *((8192, f"random, first w0 {w0}", {"first_frequency": w0}) for w0 in (60, 120, 200)),
    *((4096, f"harmonics, period {p}", {"period": p}) for p in (2.0, 2.2, 2.5, 3.0, 4.0)),
    *((n, "harmonics, period 2.2", {"period": 2.2}) for n in (1024, 2048, 8192, 16384)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    words = parser.parse_args()
    kind = make_kind("image", {"channels": 3})
    found = kind.load(words.photos)
    order = np.random.default_rng(0).permutation(len(found))[: CHOSEN_ON + REPORTED]
    looks = [kind.observe(kind.standard(found[i])) for i in order]
    wanted = torch.cat([look["values"] for look in looks], 1) - 0.5
    print("| sines | frequencies | one step | two steps |\n|---:|---|---:|---:|")
    for hidden, name, arguments in FIELDS:
        config = field_config("siren", {"hidden_layers": 1, "hidden": hidden, **arguments})
        one, two = reached(hidden_of(Field(config), looks[0]["coordinates"]), wanted)
        print(f"| {hidden} | {name} | {one:.2f} | {two:.2f} |", flush=True)


def hidden_of(field: Field, coordinates: Tensor) -> Tensor:
    """Return the hidden layer's values, (N, hidden), and a column for the last layer's bias."""
    first = field.net[0]
    with torch.no_grad():
        values = torch.addmm(first.bias, coordinates, first.weight.T).mul_(field.config.first_frequency).sin_()
    return torch.cat([values, torch.ones(len(values), 1)], 1)


def reached(hidden: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Return the mean PSNR of the photos that are reported after one and two steps; `wanted` is (N, photos x 3)."""
    once = hidden @ (hidden.T @ wanted)
    twice = hidden @ (hidden.T @ once)
    unit = float((once * once).sum() / (once * wanted).sum())  # of a rate

    def after(first: float, second: float, photos: slice) -> float:
        """(1 - a K)(1 - b K) of what is wanted."""
        left = wanted - (first + second) / unit * once + first * second / unit**2 * twice
        return float(psnr(left.square().mean(0).view(-1, 3).mean(1))[photos].mean())

    rates = np.geomspace(0.25, 4, 17)
    chosen, rest = slice(CHOSEN_ON), slice(CHOSEN_ON, None)
    one = max(rates, key=lambda r: after(r, 0.0, chosen))
    two = max(product(rates, rates), key=lambda r: after(*r, chosen) if r[0] >= r[1] else -math.inf)
    return after(one, 0.0, rest), after(*two, rest)


if __name__ == "__main__":
    main()
