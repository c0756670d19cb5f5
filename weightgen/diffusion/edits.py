"""The edits that concepts are made of: classical processing of photos, each with its names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from weightgen.diffusion import edits_colour as colour
from weightgen.diffusion import edits_local as local
from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.wordings import HELD_OUT_NAMES, WORDINGS
from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.models.positions import positions_of


@dataclass(frozen=True)
class Edit:
    """One operation."""

    name: str
    function: Callable[..., Tensor]
    """From images (N, 3, H, W) in [0, 1], and positions where it looks at them, to the same shape."""
    by_position: bool
    names: tuple[str, ...]
    """How people call it; the last `HELD_OUT_NAMES` are in no training caption."""

    @property
    def known(self) -> tuple[str, ...]:
        """Names for training captions."""
        return self.names[:-HELD_OUT_NAMES]

    @property
    def held_out(self) -> tuple[str, ...]:
        """Names that only the paraphrase split has."""
        return self.names[-HELD_OUT_NAMES:]


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "sepia": colour.sepia,
    "monochrome": colour.monochrome,
    "night": colour.night,
    "sunset": colour.sunset,
    "negative": colour.negative,
    "faded": colour.faded,
    "contrast": colour.contrast,
    "solarise": colour.solarise,
    "posterise": colour.posterise,
    "vivid": colour.vivid,
    "forest": colour.forest,
    "violet": colour.violet,
    "cinema": colour.cinema,
    "cyanotype": colour.cyanotype,
    "infrared": colour.infrared,
    "duotone": colour.duotone,
    "thermal": colour.thermal,
    "overexposed": colour.overexposed,
    "underexposed": colour.underexposed,
    "blur": local.blur,
    "sharpen": local.sharpen,
    "motion": local.motion,
    "emboss": local.emboss,
    "pencil": local.pencil,
    "ink": local.ink,
    "neon": local.neon,
    "oil": local.oil,
    "watercolour": local.watercolour,
    "cartoon": local.cartoon,
    "linocut": local.linocut,
    "bloom": local.bloom,
    "anaglyph": local.anaglyph,
}
_BY_POSITION: dict[str, Callable[..., Tensor]] = {
    "halftone": local.halftone,
    "vignette": local.vignette,
    "light-leak": local.light_leak,
    "tilt-shift": local.tilt_shift,
}
EDITS: dict[str, Edit] = {
    name: Edit(name, function, name in _BY_POSITION, WORDINGS[name])
    for name, function in {**_FUNCTIONS, **_BY_POSITION}.items()
}
"""By name."""


def edit(images: Tensor, clauses: Sequence[Clause], positions: Tensor | None = None) -> Tensor:
    """Return images (N, 3, H, W) in [0, 1] after each clause in turn: (1 - s) x + s operation(x), clamped to [0, 1].

    `positions` (N or 1, 3, H, W) of crops, from `positions_of`; None: the images are complete photos.
    Raises UsageError for an operation that is not in `EDITS`, or a strength outside [0, 1].
    """
    if positions is None:
        positions = positions_of(*images.shape[-2:]).to(images)[None]
    for clause in clauses:
        found = EDITS.get(clause.operation)
        if found is None:
            name = printable(clause.operation)
            raise UsageError(f"unknown operation '{name}'.{did_you_mean(clause.operation, [*EDITS])}")
        if not 0 <= clause.strength <= 1:
            raise UsageError(f"{found.name}: expected a strength between 0 and 1, found {clause.strength:g}")
        made = found.function(images, positions) if found.by_position else found.function(images)
        images = (images + clause.strength * (made - images)).clamp(0, 1)
    return images
