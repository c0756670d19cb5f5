"""timm's MlpMixer: MLP-Mixer, gMixer, ResMLP and gMLP. Weights that mix tokens fit one number of tokens only."""

from __future__ import annotations

from weightgen.models.layout import Family

FAMILY = Family(
    name="timm MLP-Mixer",
    table={
        "stem.proj.{weight,bias}": "embed <- channels patch patch",
        "stem.norm.{weight,bias}": "embed",
        "blocks.{layer}.{norm,norm1,norm2}.{weight,bias}": "embed",
        "blocks.{layer}.{norm1,norm2}.{alpha,beta}": "one one embed",
        "blocks.{layer}.{ls1,ls2}": "embed",
        "blocks.{layer}.mlp_tokens.fc1.{weight,bias}": "(halves hidden:tokens) <- tokens",
        "blocks.{layer}.mlp_tokens.fc2.{weight,bias}": "tokens <- hidden:tokens",
        "blocks.{layer}.linear_tokens.{weight,bias}": "tokens <- tokens",
        "blocks.{layer}.mlp_channels.fc1.{weight,bias}": "(halves hidden) <- embed",
        "blocks.{layer}.mlp_channels.gate.norm.{weight,bias}": "hidden",
        "blocks.{layer}.mlp_channels.gate.proj.{weight,bias}": "tokens <- tokens",
        "blocks.{layer}.mlp_channels.fc2.{weight,bias}": "embed <- hidden",
        "norm.{weight,bias}": "embed",
        "norm.{alpha,beta}": "one one embed",
        "head.{weight,bias}": "classes <- embed",
    },
)
