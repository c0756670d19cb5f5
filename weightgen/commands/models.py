"""`weightgen models`: the presets and what each resolves to."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from weightgen.console import Console, table


def models(*, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """List the presets that --src and --dst take, and what each stands for.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    from weightgen.models.names import PRESETS, TIMM_PRESETS, preset

    rows = []
    for name in PRESETS:
        reference = preset(name)
        scheme = "timm:" if name in TIMM_PRESETS else "hf:"
        rows.append((name, scheme + reference.name))
    text = table(rows, ("preset", "stands for")) + (
        "\n\nAlso: timm:NAME[.tag], hf:ORG/NAME[@revision], hf-hub:ORG/NAME, a checkpoint directory,\n"
        "or package:NAME/path, such a directory inside an installed Python package."
    )
    Console(json).result({"presets": dict(rows)}, text)
    return 0
