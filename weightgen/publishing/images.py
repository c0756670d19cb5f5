"""Files of images, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from weightgen.errors import UsageError, printable
from weightgen.publishing.files import write_file


def save_image(pixels: np.ndarray, path: Path) -> None:
    """Write (height, width) or (height, width, 3 or 4) bytes in the format of the file's suffix.

    Raises UsageError for a suffix that is unknown, or stands for a format that cannot hold such an image.
    """
    from PIL import Image

    formats = Image.registered_extensions()
    known = formats.get(path.suffix.lower())
    if known is None or known not in Image.SAVE:
        raise UsageError(f"{printable(str(path))}: no format for images; choose a suffix such as .png or .jpg")
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, known)
    except (OSError, ValueError, KeyError) as error:  # what its writers say to an image that they cannot hold
        raise UsageError(f"{printable(str(path))}: cannot be written: {printable(str(error))}. Try .png") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, buffer.getvalue())
