"""Noise: how much of it at each timestep, what a denoiser is asked to predict, and how one goes back to clean blocks.

DDIM (Song et al. 2021) with zero terminal SNR (Lin et al. 2024), so that one step from pure noise is defined, and
nothing clipped, since normalised weights go far beyond 1; or flow matching (Lipman et al. 2023), straight lines from
noise to blocks.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from weightgen.diffusion.condition import Condition
from weightgen.diffusion.denoiser import Denoiser

TIMESTEPS = 1000
Schedule = Literal["ddim", "flow"]
Prediction = Literal["sample", "v_prediction"]


def make_scheduler(schedule: Schedule = "ddim", prediction: Prediction = "sample") -> Any:
    """Return a scheduler; `prediction` is DDIM's: with flow matching a denoiser predicts the clean blocks."""
    if schedule == "flow":
        return FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMESTEPS)
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction,
        clip_sample=False,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def draw_timesteps(scheduler: Any, count: int, generator: torch.Generator) -> Tensor:
    """Return timesteps (count,) to learn from: uniform, whole numbers for DDIM, in (0, 1000] for flow matching."""
    if is_flow(scheduler):
        return TIMESTEPS * (1 - torch.rand(count, generator=generator))
    return torch.randint(TIMESTEPS, (count,), generator=generator)


def last_timestep(scheduler: Any) -> int:
    """Return the timestep at which nothing is left of the clean blocks: where generation begins."""
    return TIMESTEPS if is_flow(scheduler) else TIMESTEPS - 1


def noised(scheduler: Any, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Return blocks (N, blocks, size) with as much noise as their timesteps (N,) say."""
    signal, amount = _parts(scheduler, timesteps, clean)
    return signal * clean + amount * noise


def target(scheduler: Any, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Return what a denoiser should predict: the clean blocks, or v (Salimans and Ho 2022)."""
    if not _is_velocity(scheduler):
        return clean
    signal, amount = _parts(scheduler, timesteps, clean)
    return signal * noise - amount * clean


def cleaned(scheduler: Any, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
    """Return the clean blocks that a prediction stands for; differentiable."""
    if not _is_velocity(scheduler):
        return prediction
    signal, amount = _parts(scheduler, timesteps, noisy)
    return signal * noisy - amount * prediction


@torch.no_grad()
def sample(
    denoiser: Denoiser, scheduler: Any, noise: Tensor, condition: Condition, steps: int, guidance: float = 1.0
) -> Tensor:
    """Return blocks (N, blocks, size) denoised from noise in so many steps, deterministic.

    `guidance` w: prediction = empty + w (prompt - empty), the empty prompt's prediction and the prompt's (Ho and
    Salimans 2022); 1 asks only for the prompt's.
    """
    if is_flow(scheduler):
        # Its own spacing would spend the last step on a thousandth of the way.
        scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)], device=noise.device)
    else:
        scheduler.set_timesteps(steps, device=noise.device)
    asked = condition
    if guidance != 1:
        asked = condition.without(torch.ones_like(condition.mask[:, 0])) + condition
    found = noise
    for i, timestep in enumerate(scheduler.timesteps):
        both = denoiser(found.repeat(len(asked) // len(condition), 1, 1), timestep, asked)
        prediction = both[-len(condition) :]
        if guidance != 1:
            empty = both[: len(condition)]
            prediction = empty + guidance * (prediction - empty)
        if is_flow(scheduler):
            prediction = (found - prediction) / scheduler.sigmas[i]
        step = scheduler.step(prediction, timestep, found)
        found = step.prev_sample
    # DDIM's last step ends at timestep 0, with a little noise, where the steps do not divide 1000.
    return found if is_flow(scheduler) else step.pred_original_sample


def is_flow(scheduler: Any) -> bool:
    """Whether a scheduler is flow matching's."""
    return isinstance(scheduler, FlowMatchEulerDiscreteScheduler)


def _is_velocity(scheduler: Any) -> bool:
    return not is_flow(scheduler) and scheduler.config.prediction_type == "v_prediction"


def _parts(scheduler: Any, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of the clean blocks and of the noise, (N, 1, 1)."""
    if is_flow(scheduler):
        amount = timesteps / TIMESTEPS
        signal = 1 - amount
    else:
        kept = scheduler.alphas_cumprod[timesteps.cpu()]
        signal, amount = kept.sqrt(), (1 - kept).sqrt()
    return signal.to(like)[:, None, None], amount.to(like)[:, None, None]
