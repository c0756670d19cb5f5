"""The networks that weightgen defines itself: the image translator that the diffusion stage makes weights for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from weightgen.console import python_word
from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.models.architecture import Adapter, Architecture
from weightgen.models.building import on_meta
from weightgen.models.families import OWN
from weightgen.models.reference import Reference

if TYPE_CHECKING:
    import torch

    from weightgen.models.translator import TranslatorConfig

NETWORKS: dict[str, str] = {"translator": "weightgen-translator"}
"""Their names, and the `format` in their config.json."""
FIXED = ("format", "version")
"""Fields that say what the file is, not what the network is."""


class Own(Adapter):
    """weightgen's own networks, in the layout that `models.translator` reads."""

    name = "weightgen"
    presets = {name: Reference(name, "weightgen", name) for name in NETWORKS}  # noqa: RUF012
    families = OWN

    def recognise(self, text: str, directory: Path, config: Mapping[str, Any]) -> Reference | None:
        """Return the reference of a directory whose config.json has a format of ours."""
        own = next((name for name, known in NETWORKS.items() if config.get("format") == known), None)
        return None if own is None else Reference(text, self.name, own, directory=directory)

    def spelling(self, reference: Reference) -> str:
        """Say what the preset is."""
        return f"an image {reference.name} of weightgen's own"

    def build(self, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build a network; raises InputError for a broken config.json, UsageError for arguments that make none."""
        from weightgen.models.translator import CONFIG, TranslatorConfig, read_config

        directory = reference.directory
        config = TranslatorConfig() if directory is None else read_config(directory / CONFIG)
        return self._network(changed(config, arguments))

    def resized(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the source's network with other fields."""
        return self._network(changed(source.config, arguments))

    def _network(self, config: TranslatorConfig) -> Architecture:
        def make() -> torch.nn.Module:
            """Return the untaught network, which changes nothing; torch's seed decides its hidden layers."""
            import torch

            from weightgen.models.translator import Translator

            return Translator(config, torch.initial_seed())

        return self.describe("translator", on_meta(make), {}, make)

    def function(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the configuration."""
        found: dict[str, Any] = architecture.config.model_dump()
        return found

    def made(self, module: torch.nn.Module) -> bool:
        """Whether the class is weightgen's."""
        return type(module).__module__.startswith("weightgen.")

    def write_config(self, target: Architecture, directory: Path) -> None:
        """Write config.json."""
        text = target.config.model_dump_json(indent=1) + "\n"
        (directory / "config.json").write_text(text, encoding="utf-8")

    def load_text(self, target: Architecture, name: str) -> str:
        """Return the call that loads a translator."""
        return f"weightgen.diffusion.translator.load_translator(Path({python_word(name)}))"

    def load_code(self, target: Architecture, name: str) -> str:
        """Return a loader that needs torch and safetensors only, as others' models do not need weightgen either."""
        from weightgen.models.translator_snippet import snippet

        return snippet(target.config, name)

    def repository(self, reference: Reference, architecture: Architecture) -> NoReturn:
        """Refuse: no hub has weights of these."""
        raise UsageError(f"'{reference.text}' is an architecture without weights: name a directory that has some")

    def images(self, architecture: Architecture, wanted: int | None) -> NoReturn:
        """Refuse: a translator takes images of any size."""
        raise UsageError(f"a {architecture.name} makes images of images: train it with --task translate")

    def check_random_inputs(self, architecture: Architecture) -> None:
        """Refuse random images."""
        raise UsageError(
            f"a {architecture.name} makes images of images, and random ones show no change to learn.\n"
            "Add --task translate --data concept:'sepia tone', or a folder of pairs of photos"
        )

    def meta_inputs(self, model: torch.nn.Module) -> dict[str, Any]:
        """Return images for a network that takes them."""
        import torch

        taken = inspect.signature(model.forward).parameters
        return {"images": torch.zeros(2, 3, 16, 16, device="meta")} if "images" in taken else {}

    def task(self, architecture: Architecture) -> str:
        """Translators translate."""
        return "translate"

    def check_calibration(self, architecture: Architecture) -> None:
        """Refuse calibration."""
        raise UsageError(f"a {architecture.name} is measured without data: leave --calibrate out")


def changed(config: TranslatorConfig, arguments: Mapping[str, Any]) -> TranslatorConfig:
    """Return a configuration with other fields; raises UsageError for a field or value that it does not have."""
    from pydantic import ValidationError

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
