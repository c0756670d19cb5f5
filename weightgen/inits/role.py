"""The role of a parameter: where it stands in its network, and what it reads and feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from weightgen.inits.activations import Activation

Kind = Literal["stem", "hidden", "branch-end", "shortcut", "head", "norm", "embedding", "other"]


@dataclass(frozen=True)
class Role:
    """One parameter's place in its network."""

    tensor: str
    """Its name in the model's state dict."""
    kind: Kind
    """`stem` reads the network's input, `branch-end` writes to a residual stream, `shortcut` maps the stream itself,
    beside a branch or between two, `head` ends the network, `hidden` is every other layer on the way. `other` is what
    is not on the way: gates, routers of experts, networks of positions, scales, tokens."""
    is_layer: bool = False
    """A matrix or kernel that the signal is multiplied with: kernels of gates are, embeddings and scales are not."""
    bias: str | None = None
    """Name of the layer's bias."""
    branch: int | None = None
    """Index of the residual branch that it is in, from the input on; None outside of branches."""
    place: int = 0
    """How many layers of its branch the signal passes before it: q, k and v are all at 0."""
    layers: int = 0
    """Longest way through its branch, in layers; 0 outside of branches."""
    reads: str | None = None
    """Activation that its input went through last: a name of `activations.ACTIVATIONS` or `Roles.activations`;
    `identity` where none, None where unknown or several."""
    feeds: str | None = None
    """Activation that its output goes into, in the same words."""
    norm: str | None = None
    """Weight of the norm that its output goes through before anything else: of a branch, not of the stream."""
    transposed: bool = False
    """Stored as (in, out), as GPT-2 does."""
    stacked: bool = False
    """Stored as (experts, out, in): a stack of layers."""
    groups: int = 1
    """Of a grouped convolution: the rows of each group are a layer of their own."""
    parts: tuple[Sequence[int], ...] = ()
    """Output rows of each layer that is fused in this one (q, k and v); empty where it is one layer."""
    note: str = ""
    """What an `other` is."""


@dataclass(frozen=True)
class Roles:
    """The roles of a model's parameters, in the order of its state dict."""

    tensors: Mapping[str, Role]
    """By name. Biases of layers have no role of their own."""
    structured: bool = True
    """Whether residual branches, shortcuts and activations are known: where not, layers have their order alone."""
    norms: tuple[str, ...] = ()
    """Modules that normalise, those without weights among them."""
    activations: Mapping[str, Activation] = field(default_factory=dict)
    """Activations of this model that have no name in `activations.ACTIVATIONS`."""

    @property
    def branches(self) -> int:
        """Number of residual branches: L of Fixup, 9 in ResNet-20, 16 in ResNet-50, twice the depth of a ViT."""
        return 1 + max((r.branch for r in self.tensors.values() if r.branch is not None), default=-1)

    @property
    def layers(self) -> list[Role]:
        """The roles of all layers, those aside of the way among them."""
        return [role for role in self.tensors.values() if role.is_layer]

    def of(self, *kinds: Kind) -> list[Role]:
        """Return the roles of some kinds, in order."""
        return [role for role in self.tensors.values() if role.kind in kinds]

    def branch(self, index: int) -> list[Role]:
        """Return the layers of one residual branch, in the order of their places."""
        return sorted((r for r in self.tensors.values() if r.branch == index), key=lambda r: r.place)

    def activation(self, name: str) -> str | Activation:
        """Return a name of `reads` or `feeds` as initialisers take it: a name that they know, or the function."""
        return self.activations.get(name, name)
