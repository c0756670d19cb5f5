"""`weightgen models`: the presets and what each resolves to."""

from __future__ import annotations

from weightgen.commands.options import Json
from weightgen.console import Console, table


def models(*, json: Json = False) -> int:
    """List the presets that --src and --dst take, and what each stands for."""
    from weightgen.models.libraries import LIBRARIES

    rows = [
        (name, library.spelling(found)) for library in LIBRARIES.values() for name, found in library.presets.items()
    ]
    text = table(rows, ("preset", "stands for")) + (
        "\n\nAlso: timm:NAME[.tag], hf:ORG/NAME[@revision], hf-hub:ORG/NAME, a checkpoint directory,\n"
        "or package:NAME/path, such a directory inside an installed Python package."
    )
    Console(json).result({"presets": dict(rows)}, text)
    return 0
