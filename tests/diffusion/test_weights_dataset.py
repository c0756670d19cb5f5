"""A weights dataset on disk: read with `datasets` alone, read back to the bit, and refused when it is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from weightgen.diffusion import weights_dataset
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.digest import sha256_of
from weightgen.diffusion.weights_card import weights_card
from weightgen.diffusion.weights_dataset import load_weights, write_weights
from weightgen.diffusion.weights_table import Network
from weightgen.errors import CheckError, InputError, UsageError
from weightgen.models.translator import Translator, TranslatorConfig
from weightgen.publishing.checkpoint import publish
from weightgen.publishing.manifest import find_problems, write_manifest

CONFIG = TranslatorConfig(width=5, layers=3)
LAYOUT = Layout(CONFIG.shapes, 64)


def network(i: int) -> Network:
    concept = Concept(
        f"sepia-{i}", (Clause("sepia", 0.1 * (i + 1)),), (f"sepia {i}", "brown"), "strength" if i % 2 else "train"
    )
    tensors = {n: torch.randn(s, generator=torch.Generator().manual_seed(i)) for n, s in CONFIG.shapes.items()}
    return Network(concept, tensors, seed=3, steps=200, quality={"psnr": 20.0 + i}, licence="CC0")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five networks in three files."""
    directory = tmp_path_factory.mktemp("data") / "weights"
    networks = [network(i) for i in range(5)]
    with pytest.MonkeyPatch.context() as patch, publish(directory) as staged:
        patch.setattr(weights_dataset, "SHARD", 2 * 4 * len(LAYOUT) * LAYOUT.size)
        base = {n: t.detach() for n, t in Translator(CONFIG).named_parameters()}
        assert write_weights(staged.path, LAYOUT, iter(networks), base, CONFIG) == 5
        card = weights_card("weights", "A test.", LAYOUT, networks, ["lost-1"], {"photos": "CC0"}, "stage: collect")
        (staged.path / "README.md").write_text(card)
    return directory


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A copy that is free to be broken."""
    return Path(shutil.copytree(published, tmp_path / "weights"))


def test_read_back_to_the_bit(published: Path) -> None:
    found = load_weights(published)
    assert found.layout == LAYOUT
    assert found.config == CONFIG
    assert [c.name for c in found.concepts] == [f"sepia-{i}" for i in range(5)]
    assert found.concepts == tuple(network(i).concept for i in range(5))
    assert found.of("train") == [0, 2, 4]
    assert found.of("strength", "composition") == [1, 3]
    for i in range(5):
        assert all(torch.equal(t, network(i).tensors[n]) for n, t in found.tensors(i).items())
    assert found.tensors([0, 3])["net.0.bias"].shape == (2, 5)
    assert len(list((published / "data").glob("blocks-*.parquet"))) == 3
    row = found.models[3]
    assert row["sha256"] == sha256_of(network(3).tensors)
    assert row["base_sha256"] == found.base_sha256
    assert row["layout_sha256"] == LAYOUT.sha256
    assert (row["seed"], row["steps"], row["psnr"], row["ssim"], row["licence"]) == (3, 200, 23.0, None, "CC0")


READER = """
import sys
import datasets

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "weightgen":
            raise ImportError(name)

sys.meta_path.insert(0, Refused())
blocks = datasets.load_dataset(sys.argv[1], split="train").with_format("torch")
models = datasets.load_dataset(sys.argv[1], "models", split="train")
assert blocks.num_rows == 5 * int(sys.argv[2]), blocks.num_rows
mine = [b for b in blocks if b["model"] == "sepia-3" and b["layer"] == "net.2"]
assert [int(b["block_index"]) for b in mine] == sorted(int(b["block_index"]) for b in mine)
rows = []
for b in mine:
    assert b["layer_shape"].tolist() == [5, 5, 3, 3]
    assert (b["concept"], b["split"], b["captions"]) == ("sepia-3", "strength", ["sepia 3", "brown"])
    rows += b["values"][: int(b["length"])].tolist()
print(rows[46 * 2 + 45])  # bias of the third filter: after its 45 weights
print(models[3]["psnr"], models[3]["clauses"])
"""


def test_datasets_reads_it_with_no_weightgen(published: Path, tmp_path: Path) -> None:
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path), "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-c", READER, str(published), str(len(LAYOUT))]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bias, told = done.stdout.splitlines()
    assert float(bias) == float(network(3).tensors["net.2.bias"][2])
    assert told == "23.0 [{'operation': 'sepia', 'strength': 0.4}]"


def test_the_card_tells_what_is_there(published: Path) -> None:
    card = (published / "README.md").read_text()
    assert f"The weights of 5 networks of {LAYOUT.parameters:,} parameters, each in {len(LAYOUT)} blocks of\n64" in card
    assert "| train | 3 | trained | 22.00 dB |" in card
    assert "| strength | 2 | a strength between trained ones | 22.00 dB |" in card
    assert "composition |" not in card
    assert "- lost-1\n" in card
    assert "- photos: CC0" in card
    assert "weightgen run recipe.yaml" in card


def test_a_corrupt_shard_is_named(copy: Path) -> None:
    shard = copy / "data" / "blocks-00001.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"not as published\.\nchanged: data/blocks-00001\.parquet"):
        load_weights(copy)
    shard.unlink()
    with pytest.raises(InputError, match=r"missing: data/blocks-00001\.parquet"):
        load_weights(copy)


def republish(directory: Path) -> None:
    """Write a manifest that says that all is well."""
    (directory / "manifest.json").unlink()
    write_manifest(directory, {})
    assert not find_problems(directory)


def test_files_that_were_published_broken(copy: Path) -> None:
    shard, models = copy / "data" / "blocks-00001.parquet", copy / "data" / "models.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])
    republish(copy)
    with pytest.raises(InputError, match=r"blocks-00001\.parquet: is no Parquet file that can be read"):
        load_weights(copy)
    shard.write_bytes(models.read_bytes())
    republish(copy)
    with pytest.raises(InputError, match=r"blocks-00001\.parquet: is no Parquet file that can be read"):
        load_weights(copy)
    shard.unlink()
    republish(copy)
    with pytest.raises(InputError, match=r"5 networks in data/models\.parquet, 3 in data/blocks"):
        load_weights(copy)
    shard.write_bytes(whole)
    layout = json.loads((copy / "layout.json").read_text())
    (copy / "layout.json").write_text(json.dumps({**layout, "block_size": 32}))
    republish(copy)
    with pytest.raises(InputError, match=r"layout\.json: is not the one that data/models\.parquet was written with"):
        load_weights(copy)
    (copy / "layout.json").write_text(json.dumps(layout))
    (copy / "base.safetensors").write_bytes(save(dict(network(1).tensors)))
    republish(copy)
    with pytest.raises(InputError, match=r"base\.safetensors: is not the one that"):
        load_weights(copy)


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no weights dataset here \(layout\.json is missing\)"):
        load_weights(tmp_path)
    with pytest.raises(CheckError, match="no network is finite"), publish(tmp_path / "weights") as staged:
        write_weights(staged.path, LAYOUT, iter(()))
    assert not (tmp_path / "weights").exists()
