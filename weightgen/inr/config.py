"""What a coordinate network is, in the words of config.json: nothing about a start is implied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.recipe.base import told

Activation = Literal["sine", "finer", "gauss", "wire", "relu"]


M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """Unknown words are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Encoding(Strict):
    """What happens to coordinates before the first layer."""

    kind: Literal["none", "fourier", "positional"] = "none"
    """fourier: sin and cos of random projections; positional: of each coordinate at octave-spaced frequencies."""
    size: int = Field(0, ge=0, le=1 << 16)
    """Frequencies: `fourier` gives 2 size features, `positional` 2 size for each coordinate."""
    scale: float = Field(10.0, gt=0)
    """fourier: standard deviation of the projections; positional: octaves between the lowest and highest frequency."""
    two_pi: bool = True
    """Whether the projections are multiplied by 2 pi (Tancik et al. 2020 do, the CT experiment of learnit does not)."""

    @model_validator(mode="after")
    def _sizes(self) -> Encoding:
        if (self.kind == "none") != (self.size == 0):
            raise ValueError("an encoding has a size, and none has none")
        return self


class FieldConfig(Strict):
    """A multilayer perceptron from coordinates to values."""

    activation: Activation = "sine"
    inputs: int = Field(2, ge=1, le=8)
    outputs: int = Field(3, ge=1, le=64)
    hidden: int = Field(256, ge=1, le=1 << 14)
    """Width of every hidden layer (WIRE, whose numbers are complex, divides it by sqrt(2))."""
    hidden_layers: int = Field(4, ge=0, le=64)
    """Layers with an activation; the linear output layer is not counted."""
    first_frequency: float = Field(30.0, gt=0)
    """The first layer's factor omega, of sine, FINER and WIRE: sin(omega (W x + b))."""
    frequency: float = Field(30.0, gt=0)
    """That of the other hidden layers."""
    spread: float = Field(30.0, gt=0)
    """Of Gaussians, exp(-(spread z)^2), and of WIRE's envelope, exp(-|spread z|^2)."""
    gain: float = Field(1.0, gt=0)
    """Factor of the hidden layers' initial weights: sine and FINER have preactivations of deviation gain / omega."""
    period: float | None = Field(None, gt=0)
    """The first layer's frequencies begin as the lowest harmonics of this period, sines and cosines (Novello et al.
    2025); None: at random, as the family has them."""
    bias_bound: float | None = Field(None, ge=0)
    """First-layer biases are uniform within it (FINER); None: as the family has them."""
    offset: float = 0.0
    """Added to the output."""
    output: Literal["linear", "sigmoid"] = "linear"
    encoding: Encoding = Field(default_factory=lambda: Encoding.model_validate({}))

    @model_validator(mode="after")
    def _harmonics(self) -> FieldConfig:
        if self.period and (self.activation != "sine" or self.encoding.kind != "none" or not self.hidden_layers):
            raise ValueError("a period is of sine layers that see the coordinates themselves")
        return self


FIELDS: dict[str, dict[str, Any]] = {
    # Sitzmann et al. 2020, code vsitzmann/siren: 30 throughout, uniform weights, nn.Linear's biases.
    "siren": {"activation": "sine"},
    # Novello et al. 2025: the first layer's frequencies on a lattice, here a little finer than that of the signals'
    # square, [-1, 1], so that these need not be periodic. One layer of many: a Fourier series whose terms can move.
    "harmonic": {"activation": "sine", "hidden": 8192, "hidden_layers": 1, "period": 2.2},
    # Liu et al. 2024: sin(30 (|z| + 1) z), three hidden layers, first biases within 1 / sqrt(inputs) times a scale.
    "finer": {"activation": "finer", "hidden_layers": 3, "bias_bound": 5.0},
    # Ramasinghe and Lucey 2022, as in the FINER comparison: exp(-(30 z)^2), nn.Linear's initialisation.
    "gauss": {"activation": "gauss", "hidden_layers": 3, "spread": 30.0},
    # Saragadam et al. 2023: complex Gabor wavelets, omega 20 and s 10 for images.
    "wire": {"activation": "wire", "hidden_layers": 3, "first_frequency": 20.0, "frequency": 20.0, "spread": 10.0},
    # Tancik et al. 2020: 256 random frequencies of deviation 10, four ReLU layers, sigmoid.
    "fourier": {"activation": "relu", "output": "sigmoid", "encoding": {"kind": "fourier", "size": 256, "scale": 10.0}},
    # Mildenhall et al. 2020 as learnit sets it: 20 frequencies over 8 octaves, no 2 pi, no identity; five layers.
    "positional": {
        "activation": "relu",
        "hidden_layers": 5,
        "encoding": {"kind": "positional", "size": 20, "scale": 8.0, "two_pi": False},
    },
}


def field_config(name: str, arguments: Mapping[str, Any]) -> FieldConfig:
    """Return a family's configuration with overrides; `encoding.size` and the like are written with a dot.

    Raises UsageError for an unknown family, an unknown word or a value out of range.
    """
    if name not in FIELDS:
        known = ", ".join(FIELDS)
        raise UsageError(f"unknown field '{printable(name)}'.{did_you_mean(name, [*FIELDS])} Known: {known}")
    values: dict[str, Any] = {**FIELDS[name], "encoding": dict(FIELDS[name].get("encoding", {}))}
    for key, value in arguments.items():
        part, dot, word = key.partition(".")
        if dot and part == "encoding":
            values["encoding"][word] = value
        else:
            values[key] = value
    return checked(FieldConfig, values, "--field-args")


def checked(kind: type[M], values: Any, where: str) -> M:
    """Validate values that a user wrote; raises UsageError naming the word."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        word = ".".join(map(str, first["loc"]))
        known = list(kind.model_fields)
        hint = did_you_mean(word, known) if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{where}: {f'{printable(word)}: ' if word else ''}{told(first)}.{hint}") from error
