"""Labelled images as `datasets` tables: the embedded digits, IDX files, folders, zips, repositories on the hub."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightgen.errors import InputError, UsageError, printable
from weightgen.reading.archives import unpacked
from weightgen.reading.folders import data_files
from weightgen.reading.images import channels_of, decode_image
from weightgen.reading.tables import from_hub, generated, loaded

IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MAX_IDX = 1 << 30  # bytes of one decompressed file: MNIST and its kin have 47 MB
HELD_OUT = 0.1


@dataclass(frozen=True)
class Images:
    """A training and a test table with the columns `image` and `label`."""

    train: Any
    test: Any
    classes: tuple[str, ...]
    channels: int
    """1 (grey) or 3 (colour)."""


def load_images(data: str) -> Images:
    """Load images by name: `digits`, a directory of IDX files, an image folder or zip of one, `hf:ORG/NAME`.

    Raises InputError for data that are missing or broken, UsageError for an unknown name, NetworkError.
    """
    import datasets

    datasets.disable_progress_bars()
    path = Path(data).expanduser()
    folder = "its folder of images"
    if data == "digits":
        tables = dict(_table(_digits, {"version": 1}, classes=10).train_test_split(test_size=0.2, seed=0))
    elif data.startswith("hf:"):
        tables = from_hub(data, "images", folder)
    elif path.is_dir() and any(f for pattern in ("*-idx?-ubyte*", "*.idx?-ubyte*") for f in path.glob(pattern)):
        tables = {split: _idx(path, split) for split in IDX}
    elif path.is_dir():
        _remark(path)
        tables = loaded(data, "images", folder, "imagefolder", data_dir=str(path.resolve()))
    elif path.suffix == ".zip" and path.is_file():
        # Unpacked into the cache first: from inside a zip, imagefolder takes the zip's own folder for a class.
        tables = loaded(data, "images", folder, "imagefolder", data_dir=str(unpacked(path)))
    elif path.exists():
        raise InputError(f"{printable(data)}: expected a folder of images, a zip of one, or IDX files")
    else:
        raise UsageError(f"'{printable(data)}' is no such directory; a dataset of the hub is written hf:ORG/NAME")
    return _described(tables, data)


def _remark(path: Path) -> None:
    """Say what the reader of folders leaves out."""
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    data_files(path, {*ImageFolder.EXTENSIONS, ".csv", ".jsonl", ".parquet"})  # the last hold what it knows of images


def _described(tables: Mapping[str, Any], data: str) -> Images:
    import datasets

    shown = printable(data)
    train = tables.get("train")
    if train is None or not len(train):
        raise InputError(f"{shown}: no training images")
    names = list(train.column_names)
    image = next((n for n in ("image", "img") if n in names), None)
    label = next((n for n in ("label", "labels", "fine_label") if n in names), None)
    if image is None or label is None:
        raise InputError(
            f"{shown}: expected columns 'image' and 'label', found {', '.join(map(printable, names))}\n"
            "A folder needs one subfolder per class."
        )
    test = tables.get("test", tables.get("validation"))
    if test is None:
        parts = train.train_test_split(test_size=HELD_OUT, seed=0)
        train, test = parts["train"], parts["test"]

    def renamed(table: Any) -> Any:
        table = table.select_columns([image, label])
        table = table.rename_columns({old: new for old, new in ((image, "image"), (label, "label")) if old != new})
        return table.cast_column("image", datasets.Image(decode=False))  # decoded by `picture`, as all pictures are

    train, test = renamed(train), renamed(test)
    if not len(test):
        raise InputError(f"{shown}: no test images")
    feature = train.features["label"]
    classes = getattr(feature, "names", None) or [str(c) for c in range(1 + max(train.unique("label")))]
    return Images(train, test, tuple(classes), min(3, channels_of(picture(train[0]["image"], data))))


def picture(stored: Mapping[str, Any], data: str) -> Any:
    """Return an image of a table, decoded as every picture is; raises InputError naming its file."""
    name = stored.get("path") or "an image"
    raw = stored.get("bytes")
    if raw is None and not Path(name).is_file():
        raise InputError(f"{printable(data)}: '{printable(name)}' is no such file")
    shown = f"{printable(data)}: {printable(Path(name).name)}" if raw is not None else printable(name)
    with io.BytesIO(raw) if raw is not None else Path(name).open("rb") as stream:
        return decode_image(stream, shown)


def _table(rows: Any, arguments: dict[str, Any], classes: int) -> Any:
    import datasets

    names = [str(c) for c in range(classes)]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    return generated(rows, arguments, datasets.Features(features))


def _digits(version: int) -> Iterator[dict[str, Any]]:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 pixels of 0 to 16."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    for pixels, label in zip(found.images, found.target, strict=True):
        yield {"image": Image.fromarray((pixels * 255 / 16).round().astype(np.uint8)), "label": int(label)}


def _idx(folder: Path, split: str) -> Any:
    files = []
    for stem in IDX[split]:
        spellings = [stem, stem.replace("-idx", ".idx")]  # as published, and as some programs unpack it
        known = [folder / f"{name}{suffix}" for name in spellings for suffix in ("", ".gz")]
        file = next((f for f in known if f.is_file()), None)
        if file is None:
            raise InputError(f"{printable(str(known[0]))}: no such file (nor .gz)")
        files.append(file)
    _check_idx(*files)
    # Part of the cache's key, so that replaced files are read again.
    stamps = " ".join(f"{f.stat().st_size}-{f.stat().st_mtime_ns}" for f in files)  # one string: a list means shards
    classes = int(read_idx(files[1]).max()) + 1
    arguments = {"images": str(files[0].resolve()), "labels": str(files[1].resolve()), "stamps": stamps}
    return _table(_idx_rows, arguments, classes=classes)


def _check_idx(images: Path, labels: Path) -> None:
    """Raise InputError for two files that are right one by one, and do not belong together."""
    pixels, classes = read_idx(images), read_idx(labels)
    for file, array, expected in ((images, pixels, "images x rows x columns"), (labels, classes, "labels")):
        if array.ndim != (3 if file == images else 1) or not array.size:
            found = " x ".join(map(str, array.shape))
            raise InputError(f"{printable(str(file))}: expected {expected}, found {found}")
    if len(pixels) != len(classes):
        found = f"{len(pixels)} images, {printable(labels.name)} beside it {len(classes)} labels"
        raise InputError(f"{printable(str(images))}: has {found}")


def _idx_rows(images: str, labels: str, stamps: str) -> Iterator[dict[str, Any]]:
    from PIL import Image

    pixels, classes = read_idx(Path(images)), read_idx(Path(labels))
    for values, label in zip(pixels, classes, strict=True):
        yield {"image": Image.fromarray(values), "label": int(label)}


def read_idx(file: Path) -> np.ndarray:
    """Read an array of bytes from an IDX file, plain or gzipped; raises InputError where it is broken.

    Source: the description of the format on the MNIST page (LeCun, Cortes and Burges).
    """
    shown = printable(str(file))
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            raw = stream.read(MAX_IDX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}: cannot be read ({error})") from error
    if len(raw) > MAX_IDX:
        raise InputError(f"{shown}: more than {MAX_IDX} bytes")
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != 8 or not 1 <= raw[3] <= 4 or len(raw) < 4 + 4 * raw[3]:
        raise InputError(f"{shown}: not an IDX file of bytes")
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    body = len(raw) - 4 - 4 * len(shape)
    if int(np.prod(shape, dtype=object)) != body:
        raise InputError(f"{shown}: expected {' x '.join(map(str, shape))} values, found {body}")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
