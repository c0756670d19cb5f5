"""GPT-2: its linear layers store (in, out), so that lines run the other way and biases have their own."""

from __future__ import annotations

from weightgen.models.families.heads import HEADS
from weightgen.models.layout import Family

FAMILY = Family(
    name="GPT-2",
    table={
        "wte.weight": "vocab embed",
        "wpe.weight": "positions embed",
        "h.{layer}.{ln_1,ln_2}.{weight,bias}": "embed",
        "h.{layer}.attn.c_attn.weight": "embed -> (head dim)+(head dim)+(head vdim)",
        "h.{layer}.attn.c_attn.bias": "(head dim)+(head dim)+(head vdim)",
        "h.{layer}.attn.c_proj.weight": "(head vdim) -> embed",
        "h.{layer}.attn.c_proj.bias": "embed",
        "h.{layer}.mlp.c_fc.weight": "embed -> hidden",
        "h.{layer}.mlp.c_fc.bias": "hidden",
        "h.{layer}.mlp.c_proj.weight": "hidden -> embed",
        "h.{layer}.mlp.c_proj.bias": "embed",
        "ln_f.{weight,bias}": "embed",
        **HEADS,
    },
    sizes=lambda model: {"head": model.config.n_head},
    # Old files keep the causal mask beside each attention.
    ignore=(r"h\.\d+\.attn\.(bias|masked_bias)",),
)
