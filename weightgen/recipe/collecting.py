"""The recipe of `weightgen collect`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from cyclopts import Parameter
from pydantic import Field

from weightgen.recipe.training import LOOP, LoopRecipe


class CollectRecipe(LoopRecipe):
    """Collect networks into a weights dataset: one for each concept, all from one base."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"out", "tracker", "save_every", "workers"})

    stage: Annotated[Literal["collect"], Parameter(parse=False)] = "collect"
    concepts: str | None = Field(
        None, description="Folder of your own concepts: NAME/before, NAME/after and NAME/prompt.txt; by default edits."
    )
    from_checkpoints: str | None = Field(
        None, description="Folder of existing checkpoints with captions: NAME.safetensors beside NAME.txt."
    )
    photos: str | None = Field(None, description="Folder of photos to edit, instead of those of scikit-image.")
    train: int = Field(320, ge=1, description="Edits to train on, in all strengths and pairs; 512 there are.")
    held_out: int = Field(16, ge=0, description="Edits held out in each of four ways, of new operations at most 8.")
    block_size: int = Field(256, ge=1, description="Values of a block.")
    width: int = Field(28, ge=1, le=4096, description="Channels of each network.")
    layers: int = Field(5, ge=2, le=64, description="Convolutions of each network.")
    position: bool = Field(True, description="Tell networks where in the photo a pixel lies.")
    rank: int = Field(0, ge=0, le=1024, description="Of low-rank adapters on the base; 0: train all weights.")
    steps: int = Field(200, ge=1, description="Optimizer steps of each network.")
    batch_size: int = Field(16, ge=1, description="Crops of one step, over all processes.")
    crop: int = Field(24, ge=8, description="Side of those, in pixels.")
    lr: float = Field(4e-3, gt=0, description="Peak learning rate.")
    clip: float = Field(0.1, gt=0, description="Largest norm of one network's gradient.")
    adversarial: float = Field(
        0.0, ge=0, description="Weight of a patch discriminator's loss beside L1, as pix2pix has it at 0.01; 0: none."
    )
    schedule: Annotated[Literal["cosine", "linear", "constant_with_warmup"], LOOP] = Field(
        "linear", description="Of the learning rate, after a linear warmup."
    )
    ema: Annotated[float, LOOP] = Field(
        0.9, ge=0, lt=1, description="Decay of averaged weights, which are then kept; 0: none."
    )
    base_steps: int = Field(400, ge=0, description="Steps of the base, on all edits mixed; 0: random weights.")
    base_batch_size: int = Field(16, ge=1, description="Crops of one step of the base.")
    stack: int = Field(16, ge=1, description="Networks trained together: what a killed run loses at most.")
    workers: int = Field(0, ge=0, description="Stacks at a time; 0: one per core, or one where there is a GPU.")
    licence: str | None = Field(None, description="Of your photos or checkpoints, for the dataset's card.")
