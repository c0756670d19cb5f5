"""Processor time of `weightgen --help` and the like, in units of a bare `python -c "import json, argparse"`.

    python benchmarks/startup.py

Command and unit take turns; the median of the ratios is printed, with the least and the greatest.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

TURNS = 25
UNIT = [sys.executable, "-c", "import json, argparse"]
COMMANDS = ("--help", "--version", "subclone --help", "compare --help", "models", "nonsense")


def seconds(command: list[str]) -> float:
    """Return the processor seconds of a process, of user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table."""
    print("| weightgen | ratio | least to greatest |\n|---|---:|---|")
    for words in COMMANDS:
        tool = [sys.executable, "-m", "weightgen", *words.split()]
        ratios = sorted(seconds(tool) / seconds(UNIT) for _ in range(TURNS))
        print(f"| `{words}` | {median(ratios):.1f} | {ratios[0]:.1f} to {ratios[-1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
