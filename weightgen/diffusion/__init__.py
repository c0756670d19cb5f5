"""Stage 3: starting weights from a text, denoised by a diffusion model over blocks of weights."""
