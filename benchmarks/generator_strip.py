"""Draw what generated networks do to a photo, before training and after 20 steps, beside a random start.

    python benchmarks/generator_strip.py checkpoints/generator strip.jpg "cinema:0.43" "pencil:0.78" "bloom:0.5 night:1"

An edit is OPERATION:STRENGTH, once or twice. Both starts are fine-tuned on the same crops of bundled training photos,
each at its rate of benchmarks/generator.md; the photo shown is one that nothing was trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from weightgen.diffusion.captions import captions
from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.edits import edit
from weightgen.diffusion.examples import Edited
from weightgen.diffusion.loading import load_generator
from weightgen.diffusion.photos import bundled
from weightgen.diffusion.quality import psnr
from weightgen.diffusion.stack import Stack, StackAdam
from weightgen.models.positions import positions_of
from weightgen.models.translator import Translator, TranslatorConfig, translate

STEPS, BATCH, SIDE, CLIP = 20, 16, 24, 1.0
WIDTH, LABEL, GAP = 190, 16, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("edits", nargs="+")
    parser.add_argument("--rates", type=float, nargs=2, default=(5e-4, 2e-3), help="of the generated and random start")
    words = parser.parse_args()
    pipeline = load_generator(words.generator)
    config = TranslatorConfig.model_validate(dict(pipeline.base.config.architecture))
    untaught = Translator(config, 1).state_dict()
    rows: list[tuple[str, list[tuple[str, Tensor]]]] = []
    for text in words.edits:
        clauses = tuple(Clause(n, float(s)) for n, s in (part.split(":") for part in text.split()))
        prompt = captions(clauses, 1, np.random.default_rng(0))[0]
        concept = Concept(text, clauses, (prompt,))
        photo = bundled().test[0].image[None]
        wanted = edit(photo, clauses)
        shown = [("photo", photo), ("wanted", wanted)]
        for name, start, rate in (
            ("generated", pipeline(prompt).state_dicts[0], words.rates[0]),
            ("random", untaught, words.rates[1]),
        ):
            for step, made in zip((0, STEPS), fine_tuned(config, start, concept, rate, photo), strict=True):
                quality = float(psnr(made[None], wanted[None]))
                shown.append((f"{name}, step {step}: {quality:.1f} dB", made))
        rows.append((prompt, shown))
    draw(rows).save(words.out, optimize=True, quality=88)


def fine_tuned(
    config: TranslatorConfig, start: dict[str, Tensor], concept: Concept, rate: float, photo: Tensor
) -> list[Tensor]:
    """Return what a start makes of a photo (1, 3, H, W) before and after fine-tuning."""
    stack = Stack(config, start, 1)
    optimizer, examples = StackAdam(stack, rate, CLIP), Edited(bundled(), [concept])

    @torch.no_grad()
    def look() -> Tensor:
        return translate(config, stack.tensors(), photo[None], positions_of(*photo.shape[-2:])[None, None])[0].clamp(
            0, 1
        )

    found = [look()]
    for step in range(STEPS):
        photos = examples.draw(np.random.default_rng([0, step]).integers(1 << 31, size=BATCH).tolist(), SIDE)
        optimizer.zero_grad()
        stack(photos["images"], photos["positions"], examples.targets(photos)).sum().backward()
        optimizer.step()
    return [*found, look()]


def draw(rows: list[tuple[str, list[tuple[str, Tensor]]]]) -> Image.Image:
    """Return a page with a prompt and its pictures in each row."""
    first = rows[0][1]
    height = round(WIDTH * first[0][1].shape[-2] / first[0][1].shape[-1])
    page = Image.new("RGB", (len(first) * (WIDTH + GAP) - GAP, len(rows) * (height + 2 * LABEL + GAP) - GAP), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for y, (prompt, row) in enumerate(rows):
        top = y * (height + 2 * LABEL + GAP)
        pen.text((0, top), f"\u201c{prompt}\u201d", fill="black", font=font)
        for x, (words, image) in enumerate(row):
            pixels = Image.fromarray((255 * image[0]).round().byte().permute(1, 2, 0).numpy())
            pixels = pixels.resize((WIDTH, height), Image.Resampling.LANCZOS)
            page.paste(pixels, (x * (WIDTH + GAP), top + 2 * LABEL))
            pen.text((x * (WIDTH + GAP), top + LABEL), words, fill="black", font=font)
    return page


if __name__ == "__main__":
    main()
