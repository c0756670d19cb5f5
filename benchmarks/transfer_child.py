"""The single measurements of transfer.py, each meant for a process of its own; prints one JSON line.

python benchmarks/transfer_child.py NAME WORK_DIR JSON_OPTIONS
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

LLAMA = {"hidden_size": 3072, "num_hidden_layers": 40, "intermediate_size": 8192, "num_attention_heads": 24}
LLAMA |= {"num_key_value_heads": 8, "vocab_size": 32000}
SMALL = {"hidden_size": 1536, "num_hidden_layers": 20, "intermediate_size": 4096, "num_attention_heads": 12}
SMALL |= {"num_key_value_heads": 4}
VIT = {"src": "timm:vit_large_patch16_224", "dst": "vit-small", "method": "selection"}


def make_vit(path: Path) -> None:
    """Write a ViT-L of random values, one tensor at a time."""
    import numpy as np
    import timm
    import torch

    from weightgen.models.tensorwriter import TensorWriter

    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in timm.create_model("vit_large_patch16_224").state_dict().items()}
    rng = np.random.default_rng(0)
    with TensorWriter(path, [(n, "F32", s) for n, s in shapes.items()]) as writer:
        for name, shape in shapes.items():
            writer.append(name, rng.standard_normal(shape, dtype=np.float32))


def make_llama(directory: Path) -> None:
    """Write a LLaMA-like checkpoint of random bf16 values in two shards with an index."""
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from weightgen.models.tensorwriter import TensorWriter

    directory.mkdir(parents=True)
    config = LlamaConfig(**LLAMA, dtype="bfloat16", architectures=["LlamaForCausalLM"])
    config.save_pretrained(directory)
    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in LlamaForCausalLM(config).state_dict().items()}
    # Finite values: the exponents of numbers between 2^-13 and 2. One block, repeated.
    rng = np.random.default_rng(0)
    block = rng.integers(114 << 7, 128 << 7, 1 << 25, dtype=np.uint16)
    names = list(shapes)
    halves = {1: names[: len(names) // 2], 2: names[len(names) // 2 :]}
    weight_map = {}
    for i, part in halves.items():
        file = f"model-{i:05d}-of-00002.safetensors"
        with TensorWriter(directory / file, [(n, "BF16", shapes[n]) for n in part]) as writer:
            for name in part:
                weight_map[name] = file
                rows = max(1, block.size // max(1, int(np.prod(shapes[name][1:]))))
                for start in range(0, shapes[name][0], rows):
                    shape = (min(rows, shapes[name][0] - start), *shapes[name][1:])
                    writer.append(name, block[: int(np.prod(shape))].reshape(shape))
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def memory(field: str) -> float:
    """MB of VmRSS or VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise RuntimeError(f"no {field}")


def reset_peak() -> None:
    """Make VmHWM start again from here."""
    Path("/proc/self/clear_refs").write_text("5")


def recipe_of(case: str, work: Path) -> Any:
    """The recipe of a case."""
    from weightgen.recipe import SubcloneRecipe, make_recipe

    if case == "vit":
        return make_recipe(SubcloneRecipe, VIT | {"src_weights": str(work / "vit_large.safetensors")})
    return make_recipe(
        SubcloneRecipe, {"src": str(work / "llama"), "dst": "same", "dst_args": SMALL, "method": "selection"}
    )


def plain_read(prepared: Any) -> int:
    """Read every byte of the source tensors that the plan uses, in pieces of 1 MiB into one buffer."""
    import numpy as np

    weights, used = prepared.source.weights, {t.source for t in prepared.plan.tensors if t.source}
    buffer = memoryview(np.empty(1 << 20, np.uint8))
    total = 0
    homes: dict[Path, list[str]] = {}
    for name in sorted(used):
        homes.setdefault(weights._homes[weights._stored[name]], []).append(name)
    for path, names in homes.items():
        descriptor = os.open(path, os.O_RDONLY)
        for name in sorted(names, key=lambda n: weights.entries[n].start):
            at, end = weights.entries[name].start, weights.entries[name].end
            while at < end:
                at += os.preadv(descriptor, [buffer[: end - at]], at)
            total += end - weights.entries[name].start
        os.close(descriptor)
    return total


def drop_cache(prepared: Any) -> None:
    """Ask the kernel to forget the source files."""
    for path in prepared.source.weights.files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def plain_write(size: int, path: Path) -> None:
    """Write as many bytes as the result has, and sync."""
    block = memoryview(bytes(1 << 20))
    with path.open("wb", buffering=0) as out:
        while size:
            size -= out.write(block[:size])
        os.fsync(out.fileno())


def child_times(case: str, work: Path, rounds: int, cold: bool) -> dict[str, Any]:
    """Alternate a plain read of what the plan reads, a plain write of what it writes, and the transfer."""
    from weightgen.jobs.subclone import prepare
    from weightgen.subcloning.transfer import execute, nbytes

    prepared = prepare(recipe_of(case, work))
    if not cold:
        plain_read(prepared)
    size = sum(nbytes(t) for t in prepared.plan.tensors)
    wall: dict[str, list[float]] = {"read": [], "write": [], "transfer": []}
    cpu: dict[str, list[float]] = {what: [] for what in wall}
    total = 0
    for _ in range(rounds):
        out = work / "out"
        out.mkdir()
        for what in wall:
            if cold:
                drop_cache(prepared)
            begun, started = time.process_time(), time.perf_counter()
            if what == "read":
                total = plain_read(prepared)
            elif what == "write":
                plain_write(size, out / "plain")
            else:
                execute(prepared.plan, prepared.source.weights, {}, out)
            wall[what].append(time.perf_counter() - started)
            cpu[what].append(time.process_time() - begun)
        shutil.rmtree(out)
    return {"wall": wall, "cpu": cpu, "read": total, "written": size}


def child_peak(case: str, work: Path) -> dict[str, Any]:
    """Peak memory of a transfer, above what the imports and the plan take."""
    import timm  # noqa: F401  # the libraries that are needed to learn shapes
    import transformers

    import weightgen
    from weightgen.jobs.subclone import prepare
    from weightgen.subcloning.transfer import execute

    assert transformers.LlamaForCausalLM
    assert weightgen.subclone
    imports = memory("VmRSS")
    prepared = prepare(recipe_of(case, work))
    planned = memory("VmRSS")
    out = work / "out"
    out.mkdir()
    reset_peak()
    execute(prepared.plan, prepared.source.weights, {}, out)
    peak = memory("VmHWM")
    size = sum(f.stat().st_size for f in out.iterdir())
    source = sum(f.stat().st_size for f in prepared.source.weights.files)
    shutil.rmtree(out)
    return {"imports": imports, "planned": planned, "peak": peak, "bytes": size, "source": source}


def child_published(work: Path) -> dict[str, Any]:
    """Weight selection as its authors' repository does it: both models in memory, index_select, save."""
    import timm
    import torch
    from safetensors.torch import load_file, save_file

    imports = memory("VmRSS")
    reset_peak()
    started = time.perf_counter()
    teacher = timm.create_model("vit_large_patch16_224")
    teacher.load_state_dict(load_file(work / "vit_large.safetensors"))
    student = timm.create_model("vit_small_patch16_224")
    large, made = teacher.state_dict(), {}
    for name, value in student.state_dict().items():
        picked = large[name].clone()
        for dimension, size in enumerate(value.shape):
            full = picked.shape[dimension]
            index = (
                torch.arange(size) * (full // size) if full % size == 0 else torch.linspace(0, full - 1, size).round()
            )
            picked = torch.index_select(picked, dimension, index.long())
        made[name] = picked
    student.load_state_dict(made)
    out = work / "published.safetensors"
    save_file(student.state_dict(), out)
    seconds = time.perf_counter() - started
    out.unlink()
    return {"imports": imports, "peak": memory("VmHWM"), "seconds": seconds}


CHILDREN = {"times": child_times, "peak": child_peak, "published": child_published}

if __name__ == "__main__":
    print(json.dumps(CHILDREN[sys.argv[1]](work=Path(sys.argv[2]), **json.loads(sys.argv[3]))))
