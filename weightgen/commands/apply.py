"""`weightgen apply`: see what a network that turns images into images makes of one."""

from __future__ import annotations

from pathlib import Path

from weightgen.commands.options import Json, Quiet
from weightgen.console import Console, shell_word
from weightgen.errors import UsageError, printable
from weightgen.publishing.destination import check_file


def apply(start: Path, image: Path, /, *, out: Path, json: Json = False, quiet: Quiet = False) -> int:
    """Run a start over an image, before fine-tuning or after.

    Parameters
    ----------
    start
        Directory of the network, as weightgen generate writes it.
    image
        File of any size, grey or in colour, with transparency or without.
    out
        File to write; its suffix says the format.
    """
    from weightgen.diffusion.applying import edited, open_translator
    from weightgen.publishing.images import save_image
    from weightgen.reading.images import open_image

    if not image.is_file():
        raise UsageError(f"{printable(str(image))}: no such file")
    check_file(out, image)
    translator = open_translator(start)
    made = edited(translator, open_image(image))
    save_image(made, out)
    height, width = made.shape[:2]
    data = {"written": str(out), "width": width, "height": height}
    Console(json, quiet).result(data, f"wrote {shell_word(out)} ({width} x {height} pixels)")
    return 0
