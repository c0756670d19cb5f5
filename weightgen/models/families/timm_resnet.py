"""timm's ResNet: ResNet, Wide ResNet, ResNeXt, ResNet-RS, their SE variants, and the deep stems of ResNet-D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family


def _aliases(model: Any) -> Mapping[str, str]:
    first = model.layer1[0]
    # The first shortcut of a basic network adds the stem to the first stage.
    stem = "embed[1]" if first.downsample is None else "embed[0]"
    aliases = {"embed[0]": stem}
    if not hasattr(first, "conv3"):
        aliases["mid:out"] = "embed[stage]"  # a basic block ends with its second convolution
    if not any(name.endswith("weight") for name, _ in model.maxpool.named_parameters()):
        aliases["mid:stem"] = stem  # a pool without weights passes the stem's channels on
    return aliases


NORM = "{weight,bias,running_mean,running_var,num_batches_tracked}"
BLOCK = "layer{stage}.{block}"
FIRST = "layer{stage}.{block=0}"
STEM_READER = "layer{stage=1}.{block=0}"

FAMILY = Family(
    name="timm ResNet",
    table={
        "conv1.weight": "mid:stem <- channels patch patch",
        "conv1.0.weight": "mid:first <- channels patch patch",
        f"conv1.1.{NORM}": "mid:first",
        "conv1.3.weight": "mid:second <- mid:first kernel:stem kernel:stem",
        f"conv1.4.{NORM}": "mid:second",
        "conv1.6.weight": "mid:stem <- mid:second kernel:stem kernel:stem",
        f"bn1.{NORM}": "mid:stem",
        f"maxpool.{{0,1,2}}.{NORM}": "embed[0] <- mid:stem kernel:pool kernel:pool",
        # Every group of a grouped convolution has the same number of inputs, so their axis is shared by the groups.
        f"{STEM_READER}.conv1.weight": "(group mid) <- embed[0] kernel:first kernel:first",
        f"{FIRST}.conv1.weight": "(group mid) <- embed[stage-1] kernel:first kernel:first",
        f"{BLOCK}.conv1.weight": "(group mid) <- embed[stage] kernel:first kernel:first",
        f"{BLOCK}.bn1.{NORM}": "(group mid)",
        f"{BLOCK}.conv2.weight": "(group mid:out) <- mid kernel:second kernel:second",
        f"{BLOCK}.bn2.{NORM}": "(group mid:out)",
        f"{BLOCK}.conv3.weight": "embed[stage] <- (group mid:out)",
        f"{BLOCK}.bn3.{NORM}": "embed[stage]",
        f"{BLOCK}.se.fc1.{{weight,bias}}": "hidden <- embed[stage]",
        f"{BLOCK}.se.fc2.{{weight,bias}}": "embed[stage] <- hidden",
        # The shortcut is (convolution, norm), or (pool, convolution, norm).
        f"{STEM_READER}.downsample.{{0,1,2}}.{NORM}": "embed[stage] <- embed[0] kernel:down[stage] kernel:down[stage]",
        f"{FIRST}.downsample.{{0,1,2}}.{NORM}": "embed[stage] <- embed[stage-1] kernel:down[stage] kernel:down[stage]",
        "fc.{weight,bias}": "classes <- embed[-1]",
        # Fixup's scalars, where there are no norms.
        "{bn1,conv1.1,conv1.4,maxpool.1,maxpool.2,fc}.shift": "one",
        f"{BLOCK}.{{bias1a,bias1b,bias2a,bias2b,bias3a,bias3b,scale}}": "one",
    },
    sizes=lambda model: {"group": model.layer1[0].conv2.groups},
    aliases=_aliases,
)
