"""Image translators in directories: written, and read by nothing but torch and safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from weightgen.errors import InputError, printable
from weightgen.models.tensorfile import read_header
from weightgen.models.translator import CONFIG, WEIGHTS, Translator, read_config


def save_translator(translator: Translator, directory: Path) -> None:
    """Write config.json and model.safetensors into a directory that is being published."""
    from safetensors.torch import save

    text = json.dumps(translator.config.model_dump(mode="json"), indent=1)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    tensors = {n: t.detach().cpu().contiguous() for n, t in translator.state_dict().items()}
    (directory / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def load_translator(directory: Path) -> Translator:
    """Read a translator; raises InputError where it is missing, broken, or has other tensors than config.json says."""
    from safetensors.torch import load_file

    config = read_config(directory / CONFIG)
    entries, _ = read_header(directory / WEIGHTS)
    found = {name: tuple(e.shape) for name, e in entries.items()}
    if found != config.shapes:
        name = next(n for n in sorted({*found, *config.shapes}) if found.get(n) != config.shapes.get(n))
        raise InputError(
            f"{printable(str(directory / WEIGHTS))}: '{printable(name)}' is {found.get(name, 'missing')}, "
            f"expected {config.shapes.get(name, 'no such tensor')} by {CONFIG}"
        )
    translator = Translator(config)
    translator.load_state_dict(load_file(directory / WEIGHTS))
    return translator
