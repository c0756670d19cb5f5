"""Ways to get weights for a prompt without a generator, and the little trainings that some of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.baselines import Zoo, blend, features, mean, nearest, noisy, ridge, ridge_and_nearest
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.condition import condition
from weightgen.diffusion.examples import Edited, Examples, Mixed
from weightgen.diffusion.from_recipe import Networks
from weightgen.diffusion.prompt import parse
from weightgen.diffusion.quality import l1, psnr
from weightgen.diffusion.stack import Stack, StackAdam
from weightgen.diffusion.text import TextEncoder
from weightgen.models.translator import Translator, translate

Method = Callable[[Zoo, Tensor], Tensor]
CROPS, SIZE = 16, 64
PAIRS = 4  # of a user's own images, before and after
BATCH, SIDE, CLIP = 16, 24, 1.0  # of a fine-tuning step, as networks are collected


@dataclass(frozen=True)
class Ground:
    """What all ways are given, and what they are judged on."""

    networks: Networks
    encoder: TextEncoder
    differences: Tensor
    """Of all collected networks from the base, (K, blocks, size)."""

    @classmethod
    def of(cls, networks: Networks, encoder: TextEncoder) -> Ground:
        """Return the ground of a weights dataset."""
        return cls(networks, encoder, networks.data.blocks - networks.data.layout.split(networks.data.base))

    def concepts(self, which: Sequence[int]) -> list[Concept]:
        """Return some concepts."""
        return [self.networks.data.concepts[i] for i in which]

    def prompts(self, which: Sequence[int]) -> Tensor:
        """Return the prompts of concepts as vectors, (K, E)."""
        parsed = [parse(c.captions[0]) for c in self.concepts(which)]
        return features(condition(parsed, self.encoder.embed([p.text for prompt in parsed for p in prompt])))

    @property
    def watched(self) -> list[int]:
        """Concepts that settings are chosen on: every other one of those that are watched is enough."""
        return self.networks.which["validation"][::2]

    @property
    def zoo(self) -> Zoo:
        """The networks that may be learned from."""
        learned = self.networks.which["train"]
        return Zoo(self.prompts(learned), self.differences[learned])

    def shown(self, which: Sequence[int]) -> Edited:
        """Return what shows concepts."""
        assert self.networks.examples is not None
        train = self.networks.examples["train"]
        assert isinstance(train, Edited)
        return Edited(train.photos, self.concepts(which))

    @torch.no_grad()
    def outputs(self, which: Sequence[int], differences: Tensor) -> tuple[Tensor, Tensor]:
        """Return what networks make of crops of test photos, and what they should, (K, N, 3, H, W) each."""
        examples = self.shown(which)
        photos = examples.test(CROPS, SIZE)
        tensors = self.networks.base.assemble(differences)
        assert self.networks.data.config is not None
        made = translate(self.networks.data.config, tensors, photos["images"], photos["positions"]).clamp(0, 1)
        return made, examples.targets(photos)

    def score(self, which: Sequence[int], differences: Tensor) -> np.ndarray:
        """Return the PSNR of networks on test photos, each for its own concept, (K,)."""
        return psnr(*self.outputs(which, differences)).numpy()


def simple_ways(ground: Ground) -> dict[str, Callable[[Sequence[int]], Tensor]]:
    """Return the ways that look at collected networks and prompts alone, settings chosen on watched concepts."""
    zoo, watched = ground.zoo, ground.watched
    grid, blends = list(product((16, 64, 128), (0.01, 0.1, 1.0, 10.0))), list(product((2, 8), (0.02, 0.1, 0.5)))

    def best(methods: Sequence[Method]) -> Method:
        prompts = ground.prompts(watched)
        return max(methods, key=lambda m: float(ground.score(watched, m(zoo, prompts)).mean()))

    def ridge_with(components: int, penalty: float) -> Method:
        return lambda zoo, prompts: ridge(zoo, prompts, components, penalty)

    def blend_with(neighbours: int, temperature: float) -> Method:
        return lambda zoo, prompts: blend(zoo, prompts, neighbours, temperature)

    def both_with(components: int, penalty: float) -> Method:
        return lambda zoo, prompts: ridge_and_nearest(zoo, prompts, components, penalty)

    methods: dict[str, Method] = {
        "shared base": lambda zoo, prompts: torch.zeros(len(prompts), *zoo.differences.shape[1:]),
        "mean": mean,
        "nearest": nearest,
        "nearest with noise": lambda zoo, prompts: noisy(zoo, prompts, 0.1, torch.Generator().manual_seed(0)),
        "blend of neighbours": best([blend_with(*g) for g in blends]),
        "ridge": best([ridge_with(*g) for g in grid]),
        "ridge and nearest": best([both_with(*g) for g in grid]),
    }

    def asked(method: Method) -> Callable[[Sequence[int]], Tensor]:
        return lambda which: method(zoo, ground.prompts(which))

    return {name: asked(method) for name, method in methods.items()}


def best_by_data(ground: Ground, which: Sequence[int]) -> Tensor:
    """Return for each concept the training network with the least error on 16 pairs of training photos."""
    data, learned = ground.networks.data, ground.networks.which["train"]
    examples = ground.shown(which)
    photos = examples.draw(range(16), SIDE)
    assert data.config is not None
    with torch.no_grad():
        made = translate(data.config, data.tensors(learned), photos["images"], photos["positions"])
    errors = torch.stack([l1(made, target.expand_as(made)) for target in examples.targets(photos)])
    return ground.differences[learned][errors.argmin(1)]


def chosen_by_pairs(ground: Ground, which: Sequence[int], candidates: Tensor) -> Tensor:
    """Return of candidates (K, samples, blocks, size) the one of each concept with the least error on PAIRS pairs."""
    data, examples = ground.networks.data, ground.shown(which)
    photos = examples.draw(range(PAIRS), SIZE)
    assert data.config is not None
    taken = []
    for networks, target in zip(candidates, examples.targets(photos), strict=True):
        tensors = ground.networks.base.assemble(networks)
        with torch.no_grad():
            made = translate(data.config, tensors, photos["images"], photos["positions"])
        taken.append(networks[int(l1(made, target.expand_as(made)).argmin())])
    return torch.stack(taken)


def random_start(ground: Ground, seed: int) -> Tensor:
    """Return the difference of an untaught network from the base, (blocks, size)."""
    assert ground.networks.data.config is not None
    return one(ground, Translator(ground.networks.data.config, seed).state_dict())


def longer_base(ground: Ground, steps: int, rate: float) -> Tensor:
    """Return the base trained further on all concepts at once, (blocks, size), as a difference from it."""
    return tuned(ground, Mixed(ground.shown(ground.networks.which["train"])), zero(ground), steps, rate, 1, 32)[0]


def reptile(ground: Ground, steps: int, inner: int, rate: float, outer: float) -> Tensor:
    """Return a start learned by Reptile (Nichol et al. 2018) over the training concepts, (blocks, size).

    Each step `inner` steps of Adam on one concept, then a move of `outer` of the way, which falls to zero.
    """
    learned, found = ground.networks.which["train"], zero(ground)
    order = np.random.default_rng(0)
    for step in range(steps):
        examples = ground.shown([learned[int(order.integers(len(learned)))]])
        there = tuned(ground, examples, found, inner, rate, step)
        found = found + outer * (1 - step / steps) * (there - found)
    return found[0]


def tuned(
    ground: Ground, examples: Examples, differences: Tensor, steps: int, rate: float, seed: int, batch: int = BATCH
) -> Tensor:
    """Return networks after steps of Adam, each on its own concept, as differences from the base."""
    stack = stack_of(ground, differences)
    fine_tune(stack, StackAdam(stack, rate, CLIP), examples, range(steps), seed, batch)
    return back(ground, stack)


def stack_of(ground: Ground, differences: Tensor) -> Stack:
    """Return networks that begin where they differ so from the base, (K, blocks, size)."""
    config, base = ground.networks.data.config, ground.networks.base
    assert config is not None
    stack = Stack(config, {n: base.state_dict()[n] for n in config.shapes}, len(differences))
    begun = base.assemble(differences)
    for name, parameter in stack.trained().items():
        parameter.data.copy_(begun[name])
    return stack


def back(ground: Ground, stack: Stack) -> Tensor:
    """Return a stack as differences from the base."""
    return ground.networks.base.differences({n: t.detach() for n, t in stack.trained().items()})


def fine_tune(
    stack: Stack, optimizer: StackAdam, examples: Examples, steps: range, seed: int, batch: int = BATCH
) -> None:
    """Train a stack in place; crops depend on the seed and the number of the step alone."""
    for step in steps:
        photos = examples.draw(np.random.default_rng([seed, step]).integers(1 << 31, size=batch).tolist(), SIDE)
        optimizer.zero_grad()
        stack(photos["images"], photos["positions"], examples.targets(photos)).sum().backward()
        optimizer.step()


def one(ground: Ground, tensors: dict[str, Tensor]) -> Tensor:
    """Return the difference of one network from the base, (blocks, size)."""
    return ground.networks.base.differences({n: t.unsqueeze(0) for n, t in tensors.items()})[0]


def zero(ground: Ground) -> Tensor:
    """Return the base itself, (1, blocks, size)."""
    return torch.zeros(1, *ground.differences.shape[1:])
