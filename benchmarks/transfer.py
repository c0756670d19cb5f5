"""Time and memory of a transfer, against one plain read of the same bytes and against the published way.

    python benchmarks/transfer.py --work-dir /somewhere/large --write benchmarks/transfer.md

Makes a ViT-L file of random values (1.2 GB) and a sharded LLaMA-like checkpoint (8.5 GB, deleted afterwards) in the
work directory. Every measurement runs in a process of its own; what is compared is alternated, and medians are taken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measures import markdown_table
from transfer_child import VIT, make_llama, make_vit

MEASURE = Path(__file__).with_name("transfer_child.py")
LLAMA_BYTES = 12_000_000_000  # the checkpoint, what is cut from it, and room to spare


def child(name: str, work: Path, **options: Any) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, str(MEASURE), name, str(work), json.dumps(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def wall(command: list[str]) -> float:
    """Seconds of a whole command, its output thrown away."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def whole_commands(work: Path, rounds: int) -> dict[str, list[float]]:
    """Alternate `import timm`, the whole command and the whole published way, start of the interpreter included."""
    tool, out = str(Path(sys.executable).with_name("weightgen")), str(work / "command")
    file = str(work / "vit_large.safetensors")
    commands = {
        "import timm": [sys.executable, "-c", "import timm"],
        "weightgen": [tool, "subclone", "--src", VIT["src"], "--src-weights", file, "--dst", VIT["dst"]],
        "published": [sys.executable, str(MEASURE), "published", str(work), "{}"],
    }
    commands["weightgen"] += ["--out", out, "--force"]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            times[name].append(wall(command))
    shutil.rmtree(out)
    return {name: values[1:] for name, values in times.items()}  # the first round warms the page cache


def ratios(above: list[float], below: list[float]) -> str:
    """Median of the ratios of what was measured side by side, and their range."""
    found = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def seconds(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def time_table(runs: dict[str, dict[str, list[float]]]) -> str:
    """Rows of the transfer against reading and writing as many bytes."""
    rows = []
    for name, t in runs.items():
        both = [a + b for a, b in zip(t["read"], t["write"], strict=True)]
        cells = [seconds(t[k]) for k in ("read", "write", "transfer")]
        rows.append([name, *cells, ratios(t["transfer"], t["read"]), ratios(t["transfer"], both)])
    header = ["s", "plain read", "plain write", "transfer", "transfer / read", "transfer / (read + write)"]
    return markdown_table(rows, header)


def goal(t: dict[str, list[float]], most: float = 1.5) -> str:
    """Say whether the median ratio of transfer to read is at most the goal."""
    found = statistics.median(a / b for a, b in zip(t["transfer"], t["read"], strict=True))
    return f"{'met' if found <= most else 'missed'}, {found:.2f}"


def memory_table(peaks: dict[str, dict[str, Any]], published: dict[str, Any]) -> str:
    """Rows of peak memory above the imports."""
    rows = []
    for name, p in peaks.items():
        above = (p["imports"], p["planned"] - p["imports"], p["peak"] - p["planned"], p["peak"] - p["imports"])
        rows.append([name, f"{p['source'] / 1e9:.1f} GB", f"{p['bytes'] / 1e6:.0f} MB", *(f"{a:.0f}" for a in above)])
    beyond = f"{published['peak'] - published['imports']:.0f}"
    rows.append(["published way, ViT-L to ViT-S", "1.2 GB", "88 MB", f"{published['imports']:.0f}", "", "", beyond])
    header = ["", "source", "written", "imports, MB", "+ plan, MB", "+ transfer, MB", "peak above imports, MB"]
    return markdown_table(rows, header)


def command_table(times: dict[str, list[float]]) -> str:
    """Rows of whole processes."""
    rows = [[name, seconds(values), ratios(values, times["import timm"])] for name, values in times.items()]
    return markdown_table(rows, ["whole process", "s", "ratio to `import timm`"])


def main() -> None:
    """Make the files, measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-llama", action="store_true", help="leave out the 8.5 GB source")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    options = parser.parse_args()
    work: Path = options.work_dir
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "vit_large.safetensors").exists():
        make_vit(work / "vit_large.safetensors")
    print("times of the transfer", file=sys.stderr)
    warm = child("times", work, case="vit", rounds=options.rounds, cold=False)
    cold = child("times", work, case="vit", rounds=options.rounds, cold=True)
    runs = {
        "file in the page cache, wall": warm["wall"],
        "file in the page cache, processor": warm["cpu"],
        "file not in the page cache, wall": cold["wall"],
    }
    print("whole commands", file=sys.stderr)
    commands = whole_commands(work, options.rounds)
    print("memory", file=sys.stderr)
    published = child("published", work)
    peaks = {"ViT-L to ViT-S": child("peak", work, case="vit")}
    if not options.skip_llama:
        if shutil.disk_usage(work).free < LLAMA_BYTES:
            sys.exit(f"{work}: less than {LLAMA_BYTES / 1e9:.0f} GB free; use --skip-llama or another --work-dir")
        try:
            make_llama(work / "llama")
            peaks["LLaMA-like, bf16, 2 shards"] = child("peak", work, case="llama")
        finally:
            shutil.rmtree(work / "llama", ignore_errors=True)
    floor = ratios(
        [a + b for a, b in zip(warm["wall"]["read"], warm["wall"]["write"], strict=True)], warm["wall"]["read"]
    )
    versions = ", ".join(f"{n} {version(n)}" for n in ("torch", "timm", "transformers", "safetensors", "numpy"))
    report = f"""# Time and memory of a transfer

`python benchmarks/transfer.py --work-dir DIR` on {os.cpu_count()} cores ({platform.machine()}); {versions}.
Random values. Medians with the range of {options.rounds} rounds, alternated.
The load average was {os.getloadavg()[1]:.1f}: times vary, and the ratios are of what ran side by side.

## The transfer alone

ViT-L to ViT-S. *Plain read*: every byte of the source tensors that the plan uses ({warm["read"] / 1e6:.0f} MB), 1 MiB
at a time into one buffer. *Plain write*: as many bytes as the result has ({warm["written"] / 1e6:.0f} MB), an fsync
at the end. *Transfer*: executing the plan, fsync included. *Processor*: seconds of processor time, which neighbours on
the machine disturb less.

{time_table(runs)}

Goal: transfer / read of 1.5 at most. From the disk: {goal(cold["wall"])}. From the page cache: {goal(warm["wall"])}.
There reading is copying in memory, so the transfer's own copies (rows, then columns) count fully, and the write and its
fsync, which the goal leaves no room for, are of the same size as the read: (read + write) / read is {floor}.

## Memory

Peak resident memory of a process of its own, its high-water mark reset before the transfer.

{memory_table(peaks, published)}

Goal: less than 64 MB above the imports, whatever the size of the source.

## The whole command

`weightgen` hashes the source file (sha256 of 1.2 GB, on the second core) and verifies what it wrote. *Published*: both
timm models in memory, `index_select`, save, as weight selection's own code does it.

{command_table(commands)}

Goal: `weightgen` less than twice `import timm`.
"""
    print(report)
    if options.write:
        options.write.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
