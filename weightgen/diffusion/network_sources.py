"""Where the networks of a weights dataset come from: they are trained, or they are checkpoints that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from weightgen.console import Progress
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.checkpoints import find_checkpoints, load_tensors, same_shapes
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.form import Form, evened, form_of
from weightgen.diffusion.network_jobs import (
    FOUND,
    TENSORS,
    Job,
    config_of,
    examples_of,
    finished,
    jobs_of,
    train_base,
    train_stack,
)
from weightgen.diffusion.photos import BUNDLED, TEST, TRAIN
from weightgen.diffusion.stack import Stack
from weightgen.diffusion.weights_table import Network
from weightgen.models.translator import TranslatorConfig
from weightgen.reading.json_files import read_json
from weightgen.recipe import CollectRecipe
from weightgen.training.workers import carry_out_all, workers_of


@dataclass(frozen=True)
class Source:
    """Networks of one layout, read one by one."""

    layout: Layout
    networks: Iterator[Network]
    """One that was lost has values that are not finite."""
    told: str
    """A sentence for the card on how they came about."""
    licences: Mapping[str, str]
    """Of what they were made from."""
    base: Mapping[str, Tensor] | None = None
    """What all began at, in the layout's shapes."""
    frozen: Mapping[str, Tensor] | None = None
    """The network that adapters are made for."""
    config: TranslatorConfig | None = None
    form: Form | None = None
    """Of checkpoints that existed."""
    seconds: float = 0.0
    """Time in training steps, over all processes."""


def train_all(recipe: CollectRecipe, work: Path, progress: Progress) -> Source:
    """Train the base, and from it a network for each concept; what stands in `work` is not trained again."""
    torch.set_num_threads(recipe.threads)
    examples = examples_of(recipe)
    base = train_base(recipe, work, lambda done: progress(done, recipe.base_steps, "the base"))
    jobs = jobs_of(recipe, examples)
    left = [job for job in jobs if not finished(job.directory(work))]
    done, total = recipe.steps * (len(jobs) - len(left)), recipe.steps * len(jobs)
    words = f"{len(examples.concepts)} networks"
    workers = min(workers_of(recipe), max(1, len(left)))
    carry_out_all(train_stack, recipe, work, left, lambda *_: [], workers, lambda n: progress(done + n, total, words))
    begun = load_file(base / TENSORS)
    alone = Stack(config_of(recipe), begun, 1, recipe.rank, recipe.seed)
    start = {name: tensor[0].detach() for name, tensor in alone.trained().items()}
    told = f"Each learned one concept in {recipe.steps} steps, from one base, on the same crops in the same order."
    bundled = recipe.concepts is None and recipe.photos is None
    licence = recipe.licence or (BUNDLED if bundled else None)
    return Source(
        Layout({name: tensor.shape for name, tensor in start.items()}, recipe.block_size),
        _trained(recipe, jobs, examples.concepts, licence, work),
        told,
        {**TRAIN, **TEST} if bundled else {"your photos": licence or "not stated"},
        start,
        begun if recipe.rank else None,
        config_of(recipe),
        seconds=sum(read_json(d / FOUND)["seconds"] for d in [base, *(job.directory(work) for job in jobs)]),
    )


def read_existing(recipe: CollectRecipe, directory: Path) -> Source:
    """Return a folder's checkpoints; raises as `find_checkpoints` and `same_shapes` do."""
    found = find_checkpoints(directory)
    files = [file for _, file in found]
    shapes, form = same_shapes(files), form_of(files)
    layout = Layout({n: s for n, s in shapes.items() if n not in form.constants}, recipe.block_size)
    networks = (Network(c, evened(load_tensors(f), f, form), licence=recipe.licence) for c, f in found)
    told = "They are checkpoints that existed; what they began at is not known, and `base.safetensors` holds zeros."
    return Source(layout, networks, told, {"the checkpoints": recipe.licence or "not stated"}, form=form)


def _trained(
    recipe: CollectRecipe, jobs: Sequence[Job], concepts: Sequence[Concept], licence: str | None, work: Path
) -> Iterator[Network]:
    for job in jobs:
        tensors, found = load_file(job.directory(work) / TENSORS), read_json(job.directory(work) / FOUND)
        for i, which in enumerate(job.concepts):
            own = {name: tensor[i] for name, tensor in tensors.items()}
            if found["lost"][i]:  # its weights are those of the last step that went well: of no use
                own = {name: torch.full_like(tensor, torch.nan) for name, tensor in own.items()}
            quality = {name: values[i] for name, values in found["quality"].items()}
            yield Network(concepts[which], own, recipe.data_seed, recipe.steps, quality, licence)
