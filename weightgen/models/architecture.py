"""An architecture: a model without values and its checkpoint's shapes; and what weightgen asks of a model's library."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weightgen.errors import UsageError
from weightgen.models.families import find_family
from weightgen.models.layout import Layout, bind
from weightgen.models.reference import Reference

if TYPE_CHECKING:
    import torch

    from weightgen.models.named_tensors import Weights


@dataclass(frozen=True)
class Architecture:
    """A model without values."""

    adapter: Adapter
    name: str
    """timm architecture name, transformers class name, or one of weightgen's own."""
    model: torch.nn.Module
    """On the meta device."""
    shapes: Mapping[str, tuple[int, ...]]
    """Tensors of its checkpoint: the state dict without tied copies."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Tied name -> the name it repeats."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """timm keyword arguments (empty for others, whose config says all)."""
    make: Callable[[], torch.nn.Module] | None = None
    """Builds the model with values, as its own library initialises it."""
    remarks: tuple[str, ...] = ()
    """What of its configuration was left out."""

    @property
    def library(self) -> str:
        """Name of the library."""
        return self.adapter.name

    @property
    def config(self) -> Any:
        """The config of a transformers model, or of one of weightgen's own."""
        return self.model.config

    @property
    def parameters(self) -> int:
        """Values of all tensors of its checkpoint."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def width(self) -> int | None:
        """Hidden size, which files beside the weights repeat; None where the config names none."""
        found: int | None = getattr(getattr(self.model, "config", None), "hidden_size", None)
        return found

    @property
    def prefix(self) -> str:
        """The base model's prefix in the names, empty where there is none."""
        prefix = self.adapter.base_prefix(self.model)
        return prefix if prefix and any(n.startswith(prefix + ".") for n in self.shapes) else ""

    @property
    def kind(self) -> str:
        """What the family tables are found by: transformers model type, or else the class name."""
        return self.adapter.kind(self.model)

    def layout(self) -> Layout | None:
        """Return the axes of every tensor by the family's table, or None where there is no table."""
        family = find_family(self.adapter.families, self.kind)
        return None if family is None else bind(family, self.shapes, self.model, self.prefix)


class Adapter(ABC):
    """One library of models: everything in which it differs from the others. Nothing heavy is imported by its file."""

    name: ClassVar[str]
    """As packages and model cards name it."""
    presets: ClassVar[Mapping[str, Reference]] = {}
    schemes: ClassVar[tuple[str, ...]] = ()
    """What stands before the colon of its names."""
    mark: ClassVar[str] = ""
    """The field by which its config.json is known, in words."""
    families: ClassVar[Mapping[str, str]] = {}
    """Kind of model -> module of `families` that has its axis table."""
    default_method: ClassVar[str] = "subcloning"
    """What trained best without data in benchmarks/races.md, for the kind of model that the library holds."""
    has_tokenizers: ClassVar[bool] = False
    """Whether its repositories bring tokenizers."""

    # Names

    def refer(self, text: str, scheme: str, rest: str) -> Reference | None:
        """Return what `SCHEME:REST` stands for, None where it is no name of this library after all."""
        return None

    @abstractmethod
    def recognise(self, text: str, directory: Path, config: Mapping[str, Any]) -> Reference | None:
        """Return the reference of a checkpoint directory with this config.json, None where it is another library's."""

    def spelling(self, reference: Reference) -> str:
        """Return how a preset would be written in full."""
        return f"{self.schemes[0]}:{reference.name}"

    # Building

    @abstractmethod
    def build(self, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the architecture a name stands for, with overriding arguments, on the meta device."""

    @abstractmethod
    def resized(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the source's own architecture with other arguments (`--dst same`)."""

    def target(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build what is cut out of a source by a name of its own."""
        return self.build(reference, arguments)

    def takes_variant(self, reference: Reference) -> bool:
        """Whether a name can be built with arguments that a method asks for, and the user did not name."""
        return False

    def follow_depth(self, source: Architecture, target: Architecture, kept: tuple[int, ...]) -> None:  # noqa: B027
        """Give the target's per-layer settings those of the source's blocks that were kept, in place."""

    def describe(
        self,
        name: str,
        model: torch.nn.Module,
        arguments: Mapping[str, Any] | None = None,
        make: Callable[[], torch.nn.Module] | None = None,
    ) -> Architecture:
        """Wrap a model of any device."""
        tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
        shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if n not in tied}
        return Architecture(self, name, model, shapes, tied, dict(arguments or {}), make)

    def reload(self, architecture: Architecture, directory: Path) -> list[str]:
        """Load a directory that was just written as its `load_text` does; return what is missing or too much."""
        return []

    def function(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return what decides what a model computes beside its weights: settings by name, as plain values."""
        return architecture.arguments

    # Modules in memory

    @abstractmethod
    def made(self, module: torch.nn.Module) -> bool:
        """Whether a module in memory follows this library's conventions."""

    def defines(self, module: torch.nn.Module) -> bool:
        """Whether its class is the library's own, so that tables by class names can speak of it."""
        return True

    def kind(self, model: torch.nn.Module) -> str:
        """Return what the family tables know a model by."""
        return type(model).__name__

    def base_prefix(self, model: torch.nn.Module) -> str:
        """Return the prefix of names inside a model with a head, where the library has one."""
        return ""

    # Checkpoints

    @abstractmethod
    def write_config(self, target: Architecture, directory: Path) -> None:
        """Write the config.json that the library reads."""

    @abstractmethod
    def load_text(self, target: Architecture, name: str) -> str:
        """Return the Python expression that loads a checkpoint in its own library."""

    def load_code(self, target: Architecture, name: str) -> str:
        """Return the lines of Python that a card shows for loading a checkpoint."""
        return f"import {self.name}\n\nmodel = {self.load_text(target, name)}"

    @abstractmethod
    def repository(self, reference: Reference, architecture: Architecture) -> str:
        """Return the hub repository of a name's weights; raises InputError or UsageError where there is none."""

    def renaming(self, architecture: Architecture) -> Callable[[str], tuple[str, bool]]:
        """Return what maps a stored name to (current name, whether the library converts the values on loading)."""
        return lambda name: (name, False)

    def may_miss(self, architecture: Architecture, name: str) -> bool:
        """Whether the library does not mind that a checkpoint lacks a tensor."""
        return False

    def converted(self, architecture: Architecture, directory: Path | None, shown: str) -> Weights:
        """Load weights through the library, where it converts values on loading."""
        raise NotImplementedError(f"{self.name} converts nothing")

    def load_dispatched(self, architecture: Architecture, directory: Path | None) -> torch.nn.Module | None:
        """Load a model that is larger than the memory over devices, memory and disk; None where that is not known."""
        return None

    # Inputs

    @abstractmethod
    def images(self, architecture: Architecture, wanted: int | None) -> tuple[Any, int]:
        """Return side (or both sides) and channels of the images that a model takes; raises UsageError for none."""

    def text_config(self, architecture: Architecture) -> Any:
        """Return the config of a model's text part, None where it takes no text."""
        return None

    def entrance(self, model: torch.nn.Module) -> str:
        """Return the name of a model's main input."""
        return "x"

    def check_random_inputs(self, architecture: Architecture) -> None:  # noqa: B027 - most take them
        """Raise UsageError where random inputs would measure nothing."""

    def meta_inputs(self, model: torch.nn.Module) -> dict[str, Any]:
        """Return an input on the meta device to trace a model with; empty where the model is traced by symbols."""
        return {}

    def real_inputs(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return inputs with values to try a model with, smallest first."""
        return []

    def predicts(self, architecture: Architecture, outputs: torch.Tensor) -> bool:
        """Tell whether outputs are logits of classes: of an item, or of each of its places."""
        return False

    def task(self, architecture: Architecture) -> str:
        """Return the task that a model's name speaks of."""
        return "classify"

    def image_transform(
        self, architecture: Architecture, directory: Path | None
    ) -> tuple[str, str, Callable[[Any], torch.Tensor]]:
        """Return input name, Pillow mode and transform of the images that a model is calibrated on."""
        raise UsageError(f"a {architecture.name} is measured without data: leave --calibrate out")

    def check_texts(self, architecture: Architecture, shown: str) -> None:  # noqa: B027 - see transformers
        """Raise UsageError where a model is not calibrated on text."""

    def check_calibration(self, architecture: Architecture) -> None:  # noqa: B027 - most can be calibrated
        """Raise UsageError where a model cannot be calibrated at all."""
