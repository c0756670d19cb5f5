"""`python -m tests.attacks.fuzz`: thousands of cases, from a seed; a finding is repeated by its number.

python -m tests.attacks.fuzz --cases 5000 --seed 1 --workers 2
python -m tests.attacks.fuzz --seed 1 --case 137 --keep /tmp/case
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "80"}
ALONE |= {"TOKENIZERS_PARALLELISM": "false", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "MPLBACKEND": "agg"}


def main() -> int:
    """Run the cases, tell what was found, and exit 1 where anything was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--case", type=int, help="one case alone, with everything it printed")
    parser.add_argument("--keep", type=Path, help="directory for inputs and cases, kept for a look")
    options = parser.parse_args()
    home = (options.keep or Path(tempfile.mkdtemp(prefix="weightgen-fuzz-"))).resolve()
    os.environ |= {**ALONE, "HF_DATASETS_CACHE": str(home / "cache")}  # read when libraries are imported
    try:
        return _run(options, home)
    finally:
        if options.keep is None:
            shutil.rmtree(home)


def _run(options: argparse.Namespace, home: Path) -> int:
    import torch

    from tests.attacks.fuzz.campaign import Campaign

    began = time.monotonic()
    sys.stdout.reconfigure(errors="backslashreplace")  # words that are changed may be no text
    warnings.simplefilter("ignore")  # of libraries, about the files that are made to be odd
    torch.set_num_threads(1)
    campaign = Campaign(home, options.seed)
    campaign.prepare()
    found = list(campaign.unchanged()) if options.case is None else []
    print(f"{time.monotonic() - began:.0f} s: {len(campaign.kinds)} kinds are ready", flush=True)
    first, count = (options.first, options.cases) if options.case is None else (options.case, 1)
    numbers = list(range(first, first + count))
    tally = campaign.run(numbers, options.workers, options.only, options.keep is not None)
    found += tally.findings
    for finding in found[:50]:
        print(f"\n{finding.kind}, seed {options.seed}, case {finding.number}: {finding.problem}")
        print(f"  weightgen {finding.command}\n  changed: {finding.changes}")
        print("\n".join(f"  {line}" for line in finding.told.splitlines()[-12:]))
    codes = ", ".join(f"{count} with {code}" for code, count in sorted(tally.codes.items()))
    print(f"\n{count} cases of {len(campaign.kinds)} kinds in {time.monotonic() - began:.0f} s: {codes}")
    print(f"processor {tally.seconds:.0f} s, at most {tally.bytes >> 20} MiB a case, {len(found)} findings")
    for place, times in Counter(f.place for f in found).most_common():
        print(f"{times:5d}  {place}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
