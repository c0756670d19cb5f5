"""`weightgen models`: the presets and what each resolves to."""

from __future__ import annotations

from weightgen.commands.options import Json
from weightgen.console import Console, table


def models(*, json: Json = False) -> int:
    """List the presets that --src and --dst take, and what each stands for."""
    from weightgen.models.names import PRESETS, preset

    rows = []
    for name in PRESETS:
        reference = preset(name)
        known = {"timm": f"timm:{reference.name}", "transformers": f"hf:{reference.name}"}
        rows.append((name, known.get(reference.library, f"an image {name} of weightgen's own")))
    text = table(rows, ("preset", "stands for")) + (
        "\n\nAlso: timm:NAME[.tag], hf:ORG/NAME[@revision], hf-hub:ORG/NAME, a checkpoint directory,\n"
        "or package:NAME/path, such a directory inside an installed Python package."
    )
    Console(json).result({"presets": dict(rows)}, text)
    return 0
