"""Every start of a finished race held against one of them, pairwise: which method should be the default?

python benchmarks/paired.py races/vision/race --against selection
"""

from __future__ import annotations

import argparse
from pathlib import Path

from measures import markdown_table

from weightgen.compare.jobs import read_run, set_up
from weightgen.compare.statistics import summarise
from weightgen.jobs.table import load_recipe
from weightgen.recipe import CompareRecipe


def main() -> None:
    """Print a table of paired differences on the test items."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("race", type=Path)
    parser.add_argument("--against", default="selection")
    options = parser.parse_args()
    recipe = load_recipe(options.race / "recipe.yaml")
    assert isinstance(recipe, CompareRecipe)
    task = set_up(recipe).task
    runs = [
        read_run(d.parent, task.sizes["validation"], task.sizes["test"])
        for d in options.race.glob("runs/*/*/result.json")
    ]
    rows = []
    for name, found in summarise(sorted(runs, key=lambda r: (r.start, r.seed)), task.metric, options.against).items():
        if found.difference is not None:
            d = found.difference
            rows.append([name, f"{found.test.value:.4g}", f"{d.value:+.3g} [{d.low:+.3g}, {d.high:+.3g}]"])
    print(markdown_table(rows, ["start", f"test {task.metric.name}", f"less {options.against}"]))


if __name__ == "__main__":
    main()
