"""The networks that weightgen defines itself: the image translator that the diffusion stage makes weights for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.models.names import Reference

if TYPE_CHECKING:
    import torch

    from weightgen.diffusion.translator import TranslatorConfig

FIXED = ("format", "version")
"""Fields that say what the file is, not what the network is."""


def read_config(reference: Reference, arguments: Mapping[str, Any]) -> TranslatorConfig:
    """Return the configuration of a directory, or the default one of a name, with overriding fields.

    Raises InputError where config.json is no such configuration, UsageError where the arguments make none.
    """
    from weightgen.diffusion.translator import CONFIG, TranslatorConfig
    from weightgen.diffusion.translator import read_config as read

    directory = reference.directory
    return changed(TranslatorConfig() if directory is None else read(directory / CONFIG), arguments)


def changed(config: TranslatorConfig, arguments: Mapping[str, Any]) -> TranslatorConfig:
    """Return a configuration with other fields; raises UsageError for a field or value that it does not have."""
    known = [field for field in type(config).model_fields if field not in FIXED]
    for key in arguments:
        if key not in known:
            raise UsageError(f"a translator has no field '{printable(key)}'.{did_you_mean(key, known)}")
    try:
        return type(config).model_validate({**config.model_dump(), **arguments})
    except ValidationError as error:
        first = error.errors()[0]
        given = f"{first['loc'][0]}={printable(repr(first['input']))}"
        raise UsageError(f"a translator refuses {given}: {first['msg'].lower()}") from error


def network(config: TranslatorConfig) -> torch.nn.Module:
    """Return the untaught network, which changes nothing; torch's seed decides its hidden layers."""
    import torch

    from weightgen.diffusion.translator import Translator

    return Translator(config, torch.initial_seed())


def to_json(config: TranslatorConfig) -> str:
    """Return the contents of config.json."""
    return config.model_dump_json(indent=1) + "\n"
