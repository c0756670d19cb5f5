"""The roles of a model's parameters: of its layers from the flow of the signal, of the rest from their modules."""

from __future__ import annotations

from torch import nn

from weightgen.errors import CoverageError
from weightgen.inits.activations import Activation
from weightgen.inits.layer_roles import layer_roles, layers_in_order
from weightgen.inits.role import Role, Roles
from weightgen.models.architecture import Architecture
from weightgen.models.flow import find_flow
from weightgen.models.layout import Layout
from weightgen.models.libraries import adapter_of, described
from weightgen.models.norms import is_norm

__all__ = ["Role", "Roles", "roles"]


def roles(model: Architecture | nn.Module) -> Roles:
    """Return the roles of a model's parameters; the model may be on the meta device, and is not run.

    Residual branches, what each layer reads and feeds, stems and heads are those of the forward pass, which is traced,
    or watched on the meta device (`models.flow`). The axis table of the family, where there is one, tells which layers
    are fused in one tensor, and heads from projections. Where no pass can be made of a model its layers have their
    order alone, and `Roles.structured` is False.
    """
    module = model.model if isinstance(model, Architecture) else model
    parameters = dict(module.named_parameters())
    flow = find_flow(module)
    own: dict[str, Activation] = {}
    if flow is None:
        layers = layers_in_order(module)
    else:
        layers, own = layer_roles(flow, {n: tuple(p.shape) for n, p in parameters.items()}, _layout(model))
    biases = {role.bias for role in layers.values()}
    norms = {name: m for name, m in module.named_modules() if is_norm(m)}
    normalising = {id(p) for m in norms.values() for p in m.parameters(recurse=False)}
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    embedded = {step.tensor for step in flow.steps if step.op == "embedding"} if flow is not None else set()
    tensors: dict[str, Role] = {}
    for name, parameter in parameters.items():
        if id(parameter) in embeddings or name in embedded:
            tied = layers.get(name)  # a decoder that is the embedding, and may have a bias of its own
            tensors[name] = Role(name, "embedding", bias=tied.bias if tied is not None else None)
        elif name in layers:
            tensors[name] = layers[name]
        elif id(parameter) in normalising:
            tensors[name] = Role(name, "norm")
        elif name not in biases:
            tensors[name] = Role(name, "other", note="free parameter")
    return Roles(tensors, flow is not None, tuple(norms), own)


def _layout(model: Architecture | nn.Module) -> Layout | None:
    if isinstance(model, nn.Module):
        if not adapter_of(model).defines(model):
            return None
        model = described(model)
    try:
        return model.layout()
    except CoverageError:  # a variant that the family's table does not know
        return None
