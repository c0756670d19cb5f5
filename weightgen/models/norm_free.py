"""timm's ResNets without normalisation: each norm layer gives way to the scalars that Fixup has in its place.

Zhang, Dauphin and Ma, "Fixup Initialization: Residual Learning without Normalization" (ICLR 2019), arXiv 1901.09321,
section 3 and figure 1; blocks are those of hongyi-zhang/Fixup, imagenet/models. Convolutions keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from weightgen.errors import UsageError, printable
from weightgen.models.norms import is_norm
from weightgen.reading.json_files import read_json

NORM_FREE = "fixup"
"""The `norm_layer` of a timm ResNet that has scalars instead."""
PLAIN = "batchnorm2d"
"""The norm layer of the model that it is made from."""
STAGES = ("layer1", "layer2", "layer3", "layer4")


class Shift(nn.Module):
    """x + shift, one number for all channels: the bias before an activation, where a norm was."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.shift = nn.Parameter(like.new_zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the input (...), shifted."""
        return x + self.shift


class ShiftedLinear(nn.Linear):
    """W (x + shift) + b: a classifier with the scalar bias that comes before it."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.shift = nn.Parameter(layer.weight.new_zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (..., classes) of features (..., width)."""
        return super().forward(x + self.shift)


class ScalarBlock(nn.Module):
    """A residual block of n convolutions with a scalar bias before each of them and before each activation.

    h = act(conv_i(h + bias_ia) + bias_ib) for i < n, then conv_n(h + bias_na) scale + bias_nb, added to the shortcut.
    A shortcut with layers reads x + bias1a, as the branch does; one without reads x. Biases begin at 0, the scale at 1.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        for name, child in block.named_children():
            if not name.startswith("bn"):
                self.add_module(name, child)
        self.downsample: nn.Module | None = getattr(block, "downsample", None)
        self.count = 3 if hasattr(block, "conv3") else 2
        like = next(block.parameters())
        for i in range(1, self.count + 1):
            for letter in "ab":
                self.register_parameter(f"bias{i}{letter}", nn.Parameter(like.new_zeros(1)))
        self.scale = nn.Parameter(like.new_ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block makes of a feature map (N, C, H, W)."""
        own: dict[str, Any] = {**self._modules, **self._parameters}
        out = x + own["bias1a"]
        shortcut = x if self.downsample is None else self.downsample(out)
        for i in range(1, self.count + 1):
            out = own[f"conv{i}"](out if i == 1 else out + own[f"bias{i}a"])
            if i == self.count:
                break
            out = out + own[f"bias{i}b"]
            last = i == self.count - 1  # where timm's blocks drop, and blur before they go on to fewer pixels
            out = own[f"act{i}"](own["drop_block"](out) if last else out)
            out = own["aa"](out) if last else out
        out = out * own["scale"] + own[f"bias{self.count}b"]
        for name in ("se", "drop_path"):
            out = own[name](out) if own.get(name) else out
        return own[f"act{self.count}"](out + shortcut)  # type: ignore[no-any-return]


def create(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return `timm.create_model(name, **arguments)`, not pretrained, with `norm_layer=fixup` as one more norm layer.

    Raises what timm raises, and UsageError as `replace_norms` does.

    >>> create("resnet18", {"norm_layer": "fixup", "channels": (4, 4, 4, 4)}).bn1
    Shift()
    """
    import timm

    if not is_norm_free(arguments):
        return timm.create_model(name, pretrained=False, **arguments)  # type: ignore[no-any-return]
    model: nn.Module = timm.create_model(name, pretrained=False, **{**arguments, "norm_layer": PLAIN})
    replace_norms(model)
    return model


def is_norm_free(arguments: Mapping[str, Any]) -> bool:
    """Whether a model of these arguments has Fixup's scalars in place of its norm layers."""
    return arguments.get("norm_layer") == NORM_FREE


def stored_arguments(directory: Path) -> dict[str, Any]:
    """Return `norm_layer=fixup` where a checkpoint's config.json says so, which timm itself would not understand."""
    arguments = read_json(directory / "config.json").get("model_args")
    told = isinstance(arguments, dict) and is_norm_free(arguments)
    return {"norm_layer": NORM_FREE} if told else {}


def scalars(model: nn.Module) -> dict[str, float]:
    """Return the names of a model's scalars as `replace_norms` makes them -> what they begin at: 0, or 1 for scales.

    >>> scalars(create("resnet18", {"norm_layer": "fixup", "channels": (4, 4, 4, 4)}))["layer1.0.scale"]
    1.0
    """
    found = {}
    for path, module in model.named_modules():
        if isinstance(module, Shift | ShiftedLinear | ScalarBlock):
            for name, parameter in module.named_parameters(path, recurse=False):
                if name.rpartition(".")[2] not in ("weight", "bias"):
                    assert parameter.numel() == 1
                    found[name] = float(name.endswith("scale"))
    return found


def replace_norms(model: nn.Module) -> int:
    """Return how many norm layers of a timm ResNet were replaced, in place, on whatever device it is.

    Blocks become `ScalarBlock`, norms of the stem `Shift`, those of shortcuts go, and the classifier gets a bias before
    it. What is there of weights keeps its values and its names; Fixup's values are `weightgen.inits.fixup`'s to set.
    Raises UsageError, with nothing changed, for other models and for norms elsewhere.

    >>> import timm
    >>> model = timm.create_model("resnet18", channels=(4, 4, 4, 4))
    >>> replace_norms(model), sorted(n for n, _ in model.layer1[0].named_parameters())[:3]
    (21, ['bias1a', 'bias1b', 'bias2a'])
    """
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    norms = [name for name, module in model.named_modules() if is_norm(module)]
    if not isinstance(model, ResNet):
        raise UsageError(
            f"{type(model).__name__}: norm layers can be replaced by scalars in timm's ResNets only ({len(norms)} here)"
        )
    blocks = {f"{stage}.{k}": m for stage in STAGES for k, m in model.get_submodule(stage).named_children()}
    for name, block_module in blocks.items():
        if type(block_module) not in (BasicBlock, Bottleneck):
            raise UsageError(
                f"'{name}' is a {type(block_module).__name__}: scalars are known for BasicBlock and Bottleneck only"
            )
    for name in norms:
        block = next((b for b in blocks if name.startswith(b + ".")), None)
        inside = name.removeprefix(f"{block}.")
        if block is not None and not inside.startswith(("bn", "downsample.")):
            raise UsageError(f"'{printable(name)}': Fixup has nothing in place of a norm inside of a gate or pool")
    for name, block_module in blocks.items():
        _put(model, name, ScalarBlock(block_module))
    like = next(model.parameters())
    for name in norms:
        if not any(name.startswith(b + ".") for b in blocks):
            _put(model, name, Shift(like))
        elif ".downsample." in name:
            _put(model, name, nn.Identity())
    if isinstance(model.fc, nn.Linear):
        model.fc = ShiftedLinear(model.fc)
    return len(norms)


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, leaf = name.rpartition(".")
    module.train(model.training)
    setattr(model.get_submodule(owner), leaf, module)
