"""Changes of files: of their bytes whatever they are, and of what they say where their format is known."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.attacks.fuzz import formats
from tests.attacks.fuzz.odd import change_json, change_numbers, change_yaml

KEPT = ("workers", "threads", "tracker", "out", "render", "curve", "save_scores")
KEEP = frozenset([*KEPT, *("--" + word.replace("_", "-") for word in KEPT)])
"""What stays as it is: where to write, and how many processes to take from other cases."""
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
Change = Callable[[Random, bytes], bytes]
BY_FORMAT: dict[str, Change] = {
    ".json": change_json,
    ".yaml": lambda draw, raw: change_yaml(draw, raw, KEEP),
    ".safetensors": formats.change_tensors,
    ".bin": formats.change_pickle,
    ".pth": formats.change_pickle,
    ".parquet": formats.change_table,
    ".wav": formats.change_sound,
    ".obj": change_numbers,
    ".off": change_numbers,
    ".txt": change_numbers,
    ".zip": formats.change_zip,
    **dict.fromkeys(IMAGES, formats.change_image),
}


def change_bytes(draw: Random, raw: bytes) -> bytes:
    """Return other bytes: some flipped, left out, put in, repeated, or set to zero."""
    for _ in range(draw.choice([1, 1, 2, 8])):
        at = draw.randrange(len(raw) + 1) if draw.random() < 0.6 else draw.randrange(min(len(raw), 64) + 1)
        size = draw.choice([1, 1, 4, 16, 200])
        what = draw.randrange(6)
        if what == 0:
            raw = raw[:at] + bytes(b ^ 1 << draw.randrange(8) for b in raw[at : at + 1]) + raw[at + 1 :]
        elif what == 1:
            raw = raw[:at]
        elif what == 2:
            raw = raw[:at] + draw.randbytes(size) + raw[at:]
        elif what == 3:
            raw = raw[:at] + raw[at : at + size] * 2 + raw[at + size :]
        elif what == 4:
            raw = raw[:at] + b"\0" * len(raw[at : at + size]) + raw[at + size :]
        else:
            raw = raw[:at] + b"\xff" * len(raw[at : at + size]) + raw[at + size :]
    return raw


def change_file(draw: Random, file: Path, others: list[Path], outside: Path) -> str:
    """Change a file, and say how: its content, or what stands in its place."""
    what = draw.random()
    if what < 0.08:
        return _replace(draw, file, others, outside)
    raw = file.read_bytes()
    change = BY_FORMAT.get(file.suffix)
    if change is None or what < 0.35:
        file.write_bytes(change_bytes(draw, raw))
        return "bytes"
    try:
        file.write_bytes(change(draw, raw))
    except formats.UNREADABLE:  # it was changed before, or is of another format than its name says
        file.write_bytes(change_bytes(draw, raw))
        return "bytes"
    return "content"


def _replace(draw: Random, file: Path, others: list[Path], outside: Path) -> str:
    what = draw.choice(["missing", "empty", "directory", "another", "link", "loop", "dangling"])
    raw = draw.choice(others).read_bytes() if what == "another" else b""
    file.unlink()
    if what == "directory":
        file.mkdir()
    elif what in ("empty", "another"):
        file.write_bytes(raw)
    elif what != "missing":
        file.symlink_to({"link": outside, "loop": file, "dangling": Path("nowhere")}[what])
    return what


def reseal(below: Path) -> None:
    """Make the manifests below a directory true again, as somebody who changed the files on purpose would."""
    for manifest in below.rglob("manifest.json"):
        try:
            content = json.loads(manifest.read_bytes())
            records = content["files"]
            for name in list(records):
                file = manifest.parent / name
                if file.is_file():
                    raw = file.read_bytes()
                    records[name] = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
                else:
                    del records[name]
            manifest.write_text(json.dumps(content))
        except (RecursionError, *formats.UNREADABLE):  # it is what was changed
            continue


def digest(below: Path) -> str:
    """Return a hash of everything below a directory: names, kinds, links, contents."""
    found = hashlib.sha256()
    for folder, folders, names in os.walk(below):
        folders.sort()
        for name in sorted([*names, *folders]):
            path = Path(folder, name)
            found.update(os.fsencode(path.relative_to(below)) + b"\0")
            if path.is_symlink():
                found.update(os.fsencode(os.readlink(path)))
            elif path.is_file():
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def copy_in(sources: list[Path], into: Path) -> None:
    """Copy files and directories into a new directory."""
    into.mkdir()
    for source in sources:
        target = into / source.name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
