"""timm: image models by name and keyword arguments, which torch itself knows nothing of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.console import python_word, without_remarks
from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.models.architecture import Adapter, Architecture
from weightgen.models.building import on_meta, refuse_empty, refuse_huge
from weightgen.models.families import TIMM
from weightgen.models.libraries.timm_presets import PRESETS
from weightgen.models.reference import Reference, on_the_hub, unreachable

if TYPE_CHECKING:
    import torch

READING = ("mean", "std", "label_names")
"""Of a pretrained_cfg: what images are normalised by, and the order of the classes."""


class Timm(Adapter):
    """Models of timm, and plain modules of torch; ResNets without norms too, of which timm alone does not know."""

    name = "timm"
    presets = PRESETS
    schemes = ("timm", "hf-hub", "hf_hub")
    mark = "'architecture' (timm)"
    families = TIMM

    def refer(self, text: str, scheme: str, rest: str) -> Reference | None:
        """Read timm:NAME[.TAG] and hf-hub:ORG/NAME[@REVISION]."""
        if scheme == "timm":
            return Reference(text, self.name, rest) if rest else None
        return on_the_hub(self.name, text, scheme, rest)

    def recognise(self, text: str, directory: Path, config: Mapping[str, Any]) -> Reference | None:
        """Return the reference of a directory whose config.json names an architecture."""
        known = "architecture" in config
        return Reference(text, self.name, str(config["architecture"]), directory=directory) if known else None

    def build(self, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build a model; raises UsageError for what timm refuses, NetworkError where the hub is out of reach."""
        import timm

        from weightgen.models import norm_free

        refuse_empty(arguments)
        refuse_huge(arguments)
        if reference.directory is not None:
            name = f"local-dir:{reference.directory}"
            arguments = {**norm_free.stored_arguments(reference.directory), **arguments}
        elif reference.hub:
            name = f"hf-hub:{reference.name}" + (f"@{reference.revision}" if reference.revision else "")
        else:
            name = reference.name
            known = timm.list_models()
            if name.split(".")[0] not in known and not timm.is_model(name.split(".")[0]):
                raise UsageError(f"timm {timm.__version__} has no '{printable(name)}'.{did_you_mean(name, known)}")

        def make() -> torch.nn.Module:
            return norm_free.create(name, arguments)

        try:
            model = on_meta(make)
        except UsageError:
            raise
        except Exception as error:  # timm lets through whatever its classes and the hub raise
            if reference.hub and not isinstance(error, (TypeError, AssertionError, ValueError, ZeroDivisionError)):
                raise unreachable(reference, error) from error
            reason = printable((str(error).splitlines() or [type(error).__name__])[0], 200)
            raise UsageError(
                f"{printable(reference.text)}: timm refuses {printable(str(dict(arguments)))}: {reason}"
            ) from error
        return self.describe(reference.name.split(".")[0], model, arguments, make)

    def resized(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the source's own model with other arguments beside its own."""
        return self.build(reference, {**source.arguments, **arguments})

    def takes_variant(self, reference: Reference) -> bool:
        """Whether the name alone says what is built, and no directory does."""
        return reference.directory is None

    def function(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the arguments, and how images and classes are read."""
        told = getattr(architecture.model, "pretrained_cfg", None) or {}
        return {**architecture.arguments, **{key: told[key] for key in READING if told.get(key) is not None}}

    def made(self, module: torch.nn.Module) -> bool:
        """Whether the class is timm's."""
        return self.defines(module)

    def defines(self, module: torch.nn.Module) -> bool:
        """Whether the class is timm's, and not torch's or a user's own."""
        return type(module).__module__.startswith("timm.")

    def write_config(self, target: Architecture, directory: Path) -> None:
        """Write config.json in the hub's layout of timm."""
        from timm.models._hub import save_config_for_hf

        # Of a model with other channels than the published one timm says that it averages the mean and deviation of
        # the published weights' images, which nothing here uses.
        with without_remarks("timm.data.model_config"):
            save_config_for_hf(target.model, str(directory / "config.json"), model_args=dict(target.arguments))

    def load_text(self, target: Architecture, name: str) -> str:
        """Return timm's call, or ours for a model that timm alone cannot build."""
        from weightgen.models.norm_free import is_norm_free

        if is_norm_free(target.arguments):
            return f"weightgen.inits.fixup.load({python_word(name)})"
        return f"timm.create_model({python_word('local-dir:' + name)}, pretrained=True)"

    def load_code(self, target: Architecture, name: str) -> str:
        """Return the import that the call needs, and the call."""
        from weightgen.models.norm_free import is_norm_free

        module = "weightgen.inits.fixup" if is_norm_free(target.arguments) else self.name
        return f"import {module}\n\nmodel = {self.load_text(target, name)}"

    def reload(self, architecture: Architecture, directory: Path) -> list[str]:
        """Build what the written config says on the meta device, and compare it with the header of the weights."""
        from weightgen.models import norm_free
        from weightgen.models.tensorfile import read_header

        arguments = norm_free.stored_arguments(directory)
        model = on_meta(lambda: norm_free.create(f"local-dir:{directory}", arguments))
        ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        files = sorted(directory.glob("*.safetensors"))
        stored = {name: tuple(e.shape) for file in files for name, e in read_header(file)[0].items()}
        return [
            f"'{name}' is {stored.get(name, 'missing')}, it wants {ours.get(name, 'none')}"
            for name in sorted({*ours, *stored})
            if ours.get(name) != stored.get(name)
        ]

    def repository(self, reference: Reference, architecture: Architecture) -> str:
        """Return where timm publishes the weights of a name's tag; raises InputError for a name without any."""
        if reference.hub:
            return reference.name
        model: Any = architecture.model
        known: Mapping[str, Any] = model.pretrained_cfg or {}
        repository: str = known.get("hf_hub_id") or ""
        if not repository:
            raise InputError(
                f"timm has no pretrained weights for '{printable(reference.name)}': name a tag as in timm:NAME.TAG, "
                "or pass --src-weights FILE"
            )
        if repository == "timm/":
            repository += known.get("architecture", reference.name) + "." + known.get("tag", "")
            repository = repository.rstrip(".")
        return repository

    def images(self, architecture: Architecture, wanted: int | None) -> tuple[Any, int]:
        """Return what the built model takes; timm's pretrained_cfg tells of the published weights alone."""
        import torch

        model: Any = architecture.model
        told = (model.pretrained_cfg or {}).get("input_size", (3, 224, 224))
        first = next((m for m in model.modules() if isinstance(m, torch.nn.Conv2d)), None)
        fixed = getattr(getattr(model, "patch_embed", None), "img_size", None)
        return fixed or wanted or told[1], told[0] if first is None else first.in_channels

    def real_inputs(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return small images, and those of the published size."""
        import torch

        generator = torch.Generator().manual_seed(0)
        wanted = getattr(architecture.model, "default_cfg", {}).get("input_size", (3, 224, 224))
        sizes = [*((n, n) for n in (64, 128) if n < wanted[1]), tuple(wanted[1:])]
        return [{"x": torch.randn(2, wanted[0], *size, generator=generator)} for size in sizes]

    def predicts(self, architecture: Architecture, outputs: torch.Tensor) -> bool:
        """Tell whether the model has a head, and these are its logits."""
        return bool(getattr(architecture.model, "num_classes", 0)) and outputs.ndim == 2 and outputs.shape[-1] > 1

    def image_transform(
        self, architecture: Architecture, directory: Path | None
    ) -> tuple[str, str, Callable[[Any], torch.Tensor]]:
        """Return the transform that timm evaluates the model's weights with."""
        from timm.data import create_transform, resolve_model_data_config

        from weightgen.models.pictures import input_size

        side, channels = input_size(architecture)
        options = resolve_model_data_config(architecture.model) | {"input_size": (channels, side, side)}
        for word in ("mean", "std"):  # of three colours, where the model was built for other channels
            if len(options[word]) != channels:
                options[word] = (sum(options[word]) / len(options[word]),) * channels
        return "x", "L" if channels == 1 else "RGB", create_transform(**options, is_training=False)

    def check_texts(self, architecture: Architecture, shown: str) -> None:
        """Refuse text."""
        raise UsageError(f"{shown}: an image model is calibrated on a folder of images")
