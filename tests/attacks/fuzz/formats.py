"""Files that are well formed and odd: tensors, pickles, tables, pictures, sounds and zips of other content."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from random import Random
from typing import Any

import numpy as np

from tests.attacks.fuzz.odd import change_data

UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
)
DTYPES = {"F32": ("I32", "U32"), "I64": ("F64", "U64"), "F16": ("BF16", "I16")}
HOSTILE = (b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04" + b"(" * 3000 + b".", pickle.dumps([1] * 3), b"\x80\x02}q\x00.")


def change_tensors(draw: Random, raw: bytes) -> bytes:
    """Return a safetensors file with another header, or with values that are no weights."""
    size = struct.unpack("<Q", raw[:8])[0]
    header, body = json.loads(raw[8 : 8 + size]), bytearray(raw[8 + size :])
    names = [n for n in header if n != "__metadata__"]
    name = draw.choice(names)
    entry, what = header[name], draw.randrange(7)
    begin, end = entry["data_offsets"]
    if what == 0:
        header = change_data(draw, header)
    elif what == 1:
        entry["dtype"] = draw.choice(DTYPES.get(entry["dtype"], ("U8",)))
    elif what == 2:
        entry["shape"] = draw.choice([entry["shape"][::-1], [1, *entry["shape"]], [int(np.prod(entry["shape"]))]])
    elif what == 3:
        header[draw.choice([name + "x", "module." + name, name.upper(), "weight", "a" * 3000])] = header.pop(name)
    elif what == 4:
        body[begin:end] = draw.choice([b"\xff", b"\0", b"\x7f", b"\x80\x7f\0\0"]) * (end - begin)
        del body[end:]
        body += raw[8 + size + end :]
        body = body[: len(raw) - 8 - size]
    elif what == 5 and len(names) > 1:
        other = header[draw.choice(names)]
        header[name], header[draw.choice(names)] = other, entry
    else:
        header = {n: v for n, v in header.items() if n != name}
        last = [v["data_offsets"] for n, v in header.items() if n != "__metadata__"]
        del body[begin:end]
        for offsets in last:
            offsets[:] = [o - (end - begin) if o > begin else o for o in offsets]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(body)


def change_pickle(draw: Random, raw: bytes) -> bytes:
    """Return a pickle of odd tensors, or of what is no tensor, or of what would run code."""
    import torch

    what = draw.randrange(8)
    if what == 0:
        return draw.choice(HOSTILE)
    tensors: Any = torch.load(io.BytesIO(raw), weights_only=True)
    name = draw.choice(list(tensors))
    value = tensors[name]
    odd = [
        value.to_sparse(), value.half(), value.long(), torch.zeros(1).expand(10**12),
        value.t() if value.ndim == 2 else value[0], torch.full_like(value, float("nan")), value.to(torch.complex64),
        value.bool(), torch.empty(value.shape, device="meta"),
        torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), 3, "a", [value], {"a": value}, None, value[:0],
    ]  # fmt: skip
    if what < 5:
        tensors[name] = draw.choice(odd)
    elif what == 5:
        tensors = draw.choice([{}, [], list(tensors.values()), {"model": tensors}, {"model": {"model": {}}}, 3, value])
    elif what == 6:
        tensors = {draw.choice(["", 3, "a\x1b[2J", "../x", None, name]): value} | draw.choice([tensors, {}])
    else:
        tensors = dict(list(tensors.items())[:-1])
    made = io.BytesIO()
    torch.save(tensors, made, _use_new_zipfile_serialization=draw.random() < 0.7)
    return made.getvalue()


def change_table(draw: Random, raw: bytes) -> bytes:
    """Return a Parquet table with other columns, rows or types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(raw))
    name = draw.choice(table.column_names)
    at, what = table.column_names.index(name), draw.randrange(7)
    if what == 0:
        table = table.drop_columns([name])
    elif what == 1:
        table = table.rename_columns([n + "x" if n == name else n for n in table.column_names])
    elif what == 2:
        table = table.slice(0, draw.choice([0, 1, table.num_rows - 1]))
    elif what == 3:
        table = table.set_column(at, name, pa.array([draw.choice(["a", "\x1b", None])] * table.num_rows, pa.string()))
    elif what == 4:
        table = table.set_column(at, name, pa.nulls(table.num_rows, table.schema.field(name).type))
    elif what == 5:
        table = pa.concat_tables([table, table])
    else:
        values = change_data(draw, table.column(name).to_pylist())
        table = table.set_column(at, name, pa.array(values))
    made = io.BytesIO()
    pq.write_table(table, made)
    return made.getvalue()


def change_image(draw: Random, raw: bytes) -> bytes:
    """Return a picture of another mode, size or format."""
    from PIL import Image

    sizes = [(1, 1), (1, 300), (300, 1), (12, 12), (7, 13), (2000, 3)]
    size = draw.choice(sizes)
    mode, form = draw.choice(
        [("1", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("F", "TIFF"), ("CMYK", "JPEG"), ("RGBA", "WEBP"),
         ("L", "GIF"), ("RGB", "BMP"), ("I", "TIFF"), ("L", "PPM")]
    )  # fmt: skip
    if mode == "F":
        picture = Image.fromarray(np.full(size[::-1], draw.choice([np.nan, 1e38, -1.0, 0.5]), np.float32))
    else:
        source = Image.open(io.BytesIO(raw)).resize(size)
        picture = source.convert("L").convert("I").convert(mode) if mode.startswith("I") else source.convert(mode)
    made = io.BytesIO()
    more = {"save_all": True, "append_images": [picture] * 3} if form in ("TIFF", "GIF") else {}
    picture.save(made, form, **more)
    return made.getvalue()


def change_sound(draw: Random, raw: bytes) -> bytes:
    """Return a sound of another length, rate, number of channels or type, or of values that are none."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(raw))
    count, channels = draw.choice([0, 1, 2, 50, len(samples)]), draw.choice([1, 2, 5])
    samples = np.repeat(samples[:count, None], channels, 1) * draw.choice([0.0, 1.0, 1e-9, np.nan, np.inf, 1e30])
    made = io.BytesIO()
    subtype = draw.choice(["FLOAT", "DOUBLE", "PCM_U8", "PCM_16", "PCM_24"])
    soundfile.write(made, samples, draw.choice([rate, 1, 192_000]), format="WAV", subtype=subtype)
    return made.getvalue()


def change_zip(draw: Random, raw: bytes) -> bytes:
    """Return a zip whose files have other names, or are there twice, or none."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        marked = draw.choice(names)
        for name in names if draw.random() < 0.9 else []:
            odd = ["../" + name, "/" + name, "", name + "/", "a\x1b[2J.png", "é/" + name, names[0], "x" * 300 + name]
            new.writestr(draw.choice(odd) if name == marked else name, old.read(name))
    return made.getvalue()
