"""The initialisers by name, and how they are carried out on a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.inits import dag, mimetic
from weightgen.inits.applying import apply_plan
from weightgen.inits.fixup import FIXUP
from weightgen.inits.initialiser import Fill, Initialiser
from weightgen.inits.mimetic import MimeticOptions
from weightgen.inits.mirrored import LooksLinearOptions, plan_looks_linear
from weightgen.inits.plain import (
    LowRankOptions,
    Vi3nrOptions,
    each,
    plan_default,
    plan_kumar,
    plan_low_rank,
    plan_vi3nr,
)
from weightgen.inits.plan import InitPlan, build_plan
from weightgen.inits.roles import roles
from weightgen.inits.structured import EoiOptions, IdinitOptions, ZeroOptions, plan_eoi, plan_idinit, plan_zero
from weightgen.models.architecture import Architecture

ANY = "any model"
TRACED = "a model whose forward pass can be followed"


def _torch(rule: Callable[..., object], **options: Any) -> Fill:
    return lambda values, generator: rule(values, generator=generator, **options)


def _by_name(*initialisers: Initialiser) -> dict[str, Initialiser]:
    return {initialiser.name: initialiser for initialiser in initialisers}


INITIALISERS: dict[str, Initialiser] = _by_name(
    Initialiser(
        "default",
        "the model's own library",
        ANY,
        "The control: weights as timm or transformers draw them.",
        plan_default,
    ),
    Initialiser(
        "glorot-uniform",
        "Glorot and Bengio 2010, equation 16",
        ANY,
        "Linear and tanh layers: variance 2 / (in + out).",
        each("glorot-uniform", _torch(nn.init.xavier_uniform_)),
    ),
    Initialiser(
        "glorot-normal",
        "Glorot and Bengio 2010",
        ANY,
        "The same variance, normal.",
        each("glorot-normal", _torch(nn.init.xavier_normal_)),
    ),
    Initialiser(
        "he-uniform",
        "He et al. 2015, section 2.2",
        ANY,
        "ReLU networks: variance 2 / in.",
        each("he-uniform", _torch(nn.init.kaiming_uniform_, nonlinearity="relu")),
    ),
    Initialiser(
        "he-normal",
        "He et al. 2015, section 2.2",
        ANY,
        "The same variance, normal.",
        each("he-normal", _torch(nn.init.kaiming_normal_, nonlinearity="relu")),
    ),
    Initialiser(
        "orthogonal",
        "Saxe et al. 2014",
        ANY,
        "Deep linear and tanh networks: every layer an isometry.",
        each("orthogonal", _torch(nn.init.orthogonal_)),
    ),
    Initialiser(
        "zero",
        "ZerO: Zhao, Schaefer and Anandkumar 2022",
        TRACED,
        "Nothing random: identities, Hadamard matrices, and branches that begin at 0.",
        plan_zero,
        ZeroOptions,
    ),
    Initialiser(
        "idinit",
        "IDInit: Pan et al. 2025",
        TRACED,
        "Padded identities, and branches that begin next to 0; train with momentum.",
        plan_idinit,
        IdinitOptions,
    ),
    Initialiser(
        "kumar",
        "Kumar 2017",
        "activations with a slope at 0, or ReLU",
        "Variance from an activation's value and slope at 0.",
        plan_kumar,
    ),
    Initialiser(
        "vi3nr",
        "VI3NR: Hewa Koneputugodage et al. 2025",
        ANY,
        "Exact gain of any activation; of GELU and SiLU in networks of a few layers.",
        plan_vi3nr,
        Vi3nrOptions,
    ),
    Initialiser(
        "looks-linear",
        "Burkholz and Dubatovka 2019, Balduzzi et al. 2017",
        "a chain of layers of even width with ReLU, no norms and no branches",
        "Very deep plain ReLU networks: linear, and isometric, at the start.",
        plan_looks_linear,
        LooksLinearOptions,
    ),
    Initialiser(
        "eoi",
        "EOI: Nowak et al. 2024",
        ANY,
        "To train sparse: orthogonal weights with a mask of the density asked for.",
        plan_eoi,
        EoiOptions,
    ),
    Initialiser(
        "low-rank",
        "Liu et al. 2024",
        ANY,
        "For richer learning: the library's weights at a lower rank, with equal norm.",
        plan_low_rank,
        LowRankOptions,
    ),
    Initialiser(
        "mimetic",
        "Trockman and Kolter 2023",
        "self-attention without rotary positions or shared keys",
        "Vision transformers on little data: attention that looks trained.",
        mimetic.plan,
        MimeticOptions,
    ),
    Initialiser(
        "principled",
        "Chen et al. 2024",
        TRACED,
        "Networks in which many layers are summed: variance by in-degree.",
        dag.plan,
    ),
    FIXUP,
)
"""Name -> initialiser."""


def initialiser_of(name: str) -> Initialiser:
    """Return the initialiser of a name; raises UsageError, with the nearest one, where there is none."""
    if name not in INITIALISERS:
        hint = did_you_mean(name, [*INITIALISERS])
        raise UsageError(f"unknown method '{printable(name)}'.{hint} See: weightgen init --list")
    return INITIALISERS[name]


def plan_of(
    name: str,
    model: Architecture | nn.Module,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    called: str = "",
) -> InitPlan:
    """Return the plan of an initialiser for a model, which may be on the meta device.

    `called` is what the plan calls the model. Raises UsageError for an unknown name, options that the method does not
    take, and a model that is not of the kind it needs.
    """
    initialiser = initialiser_of(name)
    chosen = initialiser.parse(options or {})
    module = model.model if isinstance(model, Architecture) else model
    return build_plan(initialiser, module, roles(model), chosen, seed, called)


def apply(
    name: str,
    model: nn.Module,
    seed: int,
    options: Mapping[str, Any] | None = None,
    architecture: Architecture | None = None,
) -> dict[str, Tensor]:
    """Initialise a model's weights in place; return the masks that the method gives, by tensor.

    Biases of the layers that are set become 0. What the plan leaves alone keeps its values: norms, embeddings and free
    parameters as a rule. `architecture`, the model's own, tells its roles; they are found from the model where it is
    None. Raises UsageError as `plan_of` does, and for a model on the meta device.
    """
    return apply_plan(plan_of(name, architecture or model, seed, options), model)
