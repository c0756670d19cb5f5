"""Which of several generated networks does best on a user's own images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from weightgen.diffusion.applying import translated
from weightgen.diffusion.pairs import read_pairs
from weightgen.errors import UsageError
from weightgen.models.translator import Translator, TranslatorConfig


def errors_on(pairs: Path, architecture: Mapping[str, Any], networks: Sequence[Mapping[str, Tensor]]) -> list[float]:
    """Return the mean absolute error of each network on the pairs of a folder, every pair counting the same.

    Raises UsageError for networks that do not turn images into images, and what `read_pairs` raises.
    """
    if architecture.get("format") != "weightgen-translator":
        raise UsageError("--pairs: images can only be shown to networks that turn images into images")
    found = read_pairs(pairs)
    translator = Translator(TranslatorConfig.model_validate(architecture))
    errors = []
    for tensors in networks:
        translator.load_state_dict(dict(tensors))
        each = [float((translated(translator, p.before) - p.after).abs().mean()) for p in found]
        errors.append(sum(each) / len(each))
    return errors
