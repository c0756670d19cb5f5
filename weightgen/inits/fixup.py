"""Fixup: residual networks without normalisation whose updates do not grow with their depth.

Zhang, Dauphin and Ma, "Fixup Initialization: Residual Learning without Normalization" (ICLR 2019), arXiv 1901.09321;
code of hongyi-zhang/Fixup. Three rules: zero the classifier and the last layer of each residual branch; He's rule
elsewhere, in branches times L^(-1/(2m-2)), L being the number of branches and m that of the branch's layers; a scalar
bias before each convolution, linear layer and activation, and a scalar multiplier in each branch. The first two are
this file's. Scalars need a place in the network: `weightgen.models.norm_free` makes it in timm's ResNets, where their
norm layers were, and networks that were written for Fixup have it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits.applying import apply_plan
from weightgen.inits.initialiser import Assignment, Fill, Initialiser, Options
from weightgen.inits.plan import build_plan
from weightgen.inits.role import Roles
from weightgen.inits.roles import roles as roles_of
from weightgen.inits.rules import check_structured, layer, ones, zeros
from weightgen.inits.tensors import check_weight, check_word, fan_in, fill
from weightgen.models.norm_free import NORM_FREE, scalars
from weightgen.models.norm_free import replace_norms as replace_norm_layers

Fan = Literal["out", "in"]
SLOWER = 10.0  # how much slower scalars are trained


class FixupOptions(Options):
    """Options of fixup."""

    fan: Fan = Field("out", description="Fan of He's rule: out, as in the authors' code, or in.")


def fixup_(
    weight: Tensor,
    branches: int = 1,
    layers: int = 2,
    fan: Fan = "out",
    groups: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the weight (out, in) or (out, in / groups, *kernel), drawn in place from N(0, 2 / fan) L^(-1/(2m-2)).

    L = `branches` and m = `layers`: with two layers in a branch the factor is L^(-1/2), with three L^(-1/4). One branch
    is He's rule itself (He et al. 2015). The fan is out / groups, or in / groups, times the positions of the kernel.
    The last layer of a branch, and the classifier, are 0 instead.

    Raises UsageError as `check_weight` does, for another fan, no branches, and branches of fewer than two layers.

    >>> weight = fixup_(torch.empty(64, 32, 3, 3), branches=9, generator=torch.Generator().manual_seed(0))
    >>> abs(float(weight.var()) / (2 / (64 * 9) / 9) - 1) < 0.03
    True
    """
    check_weight(weight, "fixup_")
    check_word("fan", fan, ["out", "in"])
    if branches < 1 or layers < 2:
        raise UsageError(f"fixup_: expected at least 1 branch of 2 layers, found {branches} of {layers}")
    positions = math.prod(weight.shape[2:])
    size = fan_in(weight) if fan == "in" else len(weight) // groups * positions
    return fill(weight, math.sqrt(2 / size) * branches ** (-1 / (2 * layers - 2)), generator)


def fixup(model: nn.Module, replace_norms: bool = False, fan: Fan = "out", seed: int = 0) -> nn.Module:
    """Return the model, a residual network, initialised by Fixup in place.

    `replace_norms` first replaces the norm layers of a timm ResNet by scalars (`norm_free.replace_norms`); without it
    a model with norm layers is refused. These scalars begin at 0, their multipliers at 1; one-element parameters of
    other models keep their values. Logits are then 0. Train scalars slower: `fixup_groups`.

    Raises UsageError for norm layers, for models without residual branches or whose branches cannot be found, and as
    `norm_free.replace_norms` does.

    >>> import timm
    >>> model = fixup(timm.create_model("resnet18", num_classes=10), replace_norms=True)
    >>> bool(model(torch.randn(1, 3, 32, 32)).any())
    False
    """
    if replace_norms:
        replace_norm_layers(model)
    apply_plan(build_plan(FIXUP, model, roles_of(model), FIXUP.parse({"fan": fan}), seed), model)
    return model


def fixup_groups(model: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Return three groups for an optimizer: scalar biases and scalar multipliers at rate / 10, all else at the rate.

    Scalars are the parameters of one element, multipliers those whose names have `scale` in them. The authors' CIFAR
    script also slows the classifier's bias. Groups without parameters are left out.

    >>> groups = fixup_groups(nn.Linear(2, 1), rate=0.1)
    >>> [(len(group["params"]), group["lr"]) for group in groups]
    [(1, 0.01), (1, 0.1)]
    """
    found: dict[str, list[nn.Parameter]] = {"biases": [], "scales": [], "others": []}
    for name, parameter in model.named_parameters():
        scalar = "scales" if "scale" in name.rpartition(".")[2] else "biases"
        found[scalar if parameter.numel() == 1 else "others"].append(parameter)
    rates = {"biases": rate / SLOWER, "scales": rate / SLOWER, "others": rate}
    return [{"params": parameters, "lr": rates[kind]} for kind, parameters in found.items() if parameters]


def load(directory: str | Path) -> nn.Module:
    """Return the model of a checkpoint whose config.json says `norm_layer: fixup`, in evaluation mode.

    timm alone does not know such models. By hand: `timm.create_model("local-dir:DIR", norm_layer="batchnorm2d")`, then
    `norm_free.replace_norms` of it, then `load_state_dict` of model.safetensors. Raises InputError as any source does.
    """
    from weightgen.models.loading import load_model
    from weightgen.models.names import resolve
    from weightgen.models.source import open_source

    return load_model(open_source(resolve(f"local-dir:{directory}"), {}))


def plan(model: nn.Module, roles: Roles, options: FixupOptions) -> list[Assignment]:
    """Return what each layer gets, and the scalars of `norm_free`; the stem, as in the authors' code, is left alone.

    Raises UsageError for norm layers, and where there are no residual branches or they are not known.
    """
    check_structured("fixup", model, roles)
    kind, count, branches = type(model).__name__, len(roles.norms), roles.branches
    if count:
        raise UsageError(
            f"{kind}: has {count} norm layers, and Fixup is for residual networks without any.\n"
            "Scalars in their place, timm's ResNets: --model-args norm_layer=fixup, fixup(model, replace_norms=True)\n"
            "Methods that keep norm layers: zero, idinit"
        )
    if not branches:
        raise UsageError(
            f"{kind}: has no residual branch, and Fixup's factors are made of their number and depth.\n"
            "For networks without branches: he-normal, looks-linear"
        )
    assignments: list[Assignment] = []
    for role in roles.of("hidden", "branch-end", "shortcut", "head"):
        if role.kind in ("branch-end", "head"):
            assignments += layer(role, "0", zeros)
            continue
        inside = role.branch is not None and role.kind == "hidden"
        factor = branches ** (-1 / (2 * role.layers - 2)) if inside else 1.0
        rule = f"He x {factor:.3g}" if inside else "He"
        why = f"L = {branches}, m = {role.layers}" if inside else ""
        fill_of = _fill(branches if inside else 1, role.layers if inside else 2, options.fan, role.groups)
        assignments += layer(role, rule, fill_of, why, whole=True)
    for name, value in scalars(model).items():
        assignments.append(Assignment(name, f"{value:g}", "scalar", ones if value else zeros))
    return assignments


def _fill(branches: int, layers: int, fan: Fan, groups: int) -> Fill:
    return lambda weight, generator: fixup_(weight, branches, layers, fan, groups, generator)


FIXUP = Initialiser(
    "fixup",
    "Zhang, Dauphin and Ma 2019",
    "a residual network without norm layers; of a timm ResNet by name it builds one (norm_layer=fixup)",
    "Deep residual networks that train without normalisation; scalars at a tenth of the rate.",
    plan,
    FixupOptions,
    {"norm_layer": NORM_FREE},
)
