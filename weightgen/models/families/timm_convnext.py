"""timm's ConvNeXt: v1 and v2, with linear or convolutional MLPs and every stem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.models.layout import Family


def _aliases(model: Any) -> Mapping[str, str]:
    """Name the channels after the first convolution, and those before the classifier."""
    convolutions = [name for name, _ in model.stem.named_parameters() if name.endswith("weight")]
    aliases = {} if len(convolutions) == 3 else {"mid:stem": "embed[0]"}
    if not hasattr(getattr(model.head, "pre_logits", None), "fc"):
        aliases["pooled"] = "embed[-1]"
    return aliases


FAMILY = Family(
    name="timm ConvNeXt",
    table={
        # A patch stem is (convolution, norm); the others are (convolution, [activation], convolution, norm).
        "stem.0.{weight,bias}": "mid:stem <- channels patch patch",
        "stem.{1,2,3}.{weight,bias}": "embed[0] <- mid:stem kernel:stem kernel:stem",
        "stages.{stage}.downsample.0.{weight,bias}": "embed[stage-1]",
        "stages.{stage}.downsample.1.{weight,bias}": "embed[stage] <- embed[stage-1] kernel[stage] kernel[stage]",
        "stages.{stage}.blocks.{block}.conv_dw.{weight,bias}": "embed[stage] one kernel:dw[stage] kernel:dw[stage]",
        "stages.{stage}.blocks.{block}.norm.{weight,bias}": "embed[stage]",
        "stages.{stage}.blocks.{block}.mlp.fc1.{weight,bias}": "hidden <- embed[stage]",
        "stages.{stage}.blocks.{block}.mlp.grn.{weight,bias}": "hidden",
        "stages.{stage}.blocks.{block}.mlp.fc2.{weight,bias}": "embed[stage] <- hidden",
        "stages.{stage}.blocks.{block}.gamma": "embed[stage]",
        "{norm_pre,head.norm}.{weight,bias}": "embed[-1]",
        "head.pre_logits.fc.{weight,bias}": "pooled <- embed[-1]",
        "head.fc.{weight,bias}": "classes <- pooled",
    },
    renames={r"^head\.norm\.": "norm_pre.", r"^norm_pre\.": "head.norm."},
    aliases=_aliases,
)
