"""Translators as an architecture: named, built, loaded, saved, cut, and started from like any library's models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import Command
from weightgen.diffusion.translator import load_translator, save_translator
from weightgen.errors import InputError, UsageError, WeightgenError
from weightgen.models.families.translator import FAMILY
from weightgen.models.layout import bind
from weightgen.models.libraries import LIBRARIES, build
from weightgen.models.libraries.own import NETWORKS
from weightgen.models.loading import initialised, load_model, save_model
from weightgen.models.names import resolve
from weightgen.models.proof import output_change, randomise
from weightgen.models.source import open_source
from weightgen.models.translator import Translator, TranslatorConfig
from weightgen.starts.agreement import architecture_of
from weightgen.starts.start import parse_start, parse_starts

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"width": 12, "layers": 4}
CONFIG = TranslatorConfig(**SMALL)


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    """A translator's checkpoint in which nothing is zero."""
    translator = Translator(CONFIG)
    randomise(translator, seed=1)
    (tmp_path / "taught").mkdir()
    save_translator(translator, tmp_path / "taught")
    return tmp_path / "taught"


def test_names(taught: Path) -> None:
    assert NETWORKS["translator"] == CONFIG.format  # which is known without torch
    architecture = build(resolve("translator"), {})
    assert (architecture.library, architecture.kind) == ("weightgen", "Translator")
    assert dict(architecture.shapes) == TranslatorConfig().shapes
    assert all(p.is_meta for p in architecture.model.parameters())
    assert dict(build(resolve("translator"), SMALL).shapes) == CONFIG.shapes
    found = resolve(str(taught))
    assert (found.library, found.directory) == ("weightgen", taught)
    assert build(found, {}).config == CONFIG
    resized = LIBRARIES[found.library].resized(build(found, {}), found, {"width": 5})
    assert resized.config == TranslatorConfig(width=5, layers=4)


def test_a_checkpoint_is_loaded_and_saved_as_it_was(taught: Path, tmp_path: Path) -> None:
    source = open_source(resolve(str(taught)), {})
    model = load_model(source)
    expected = load_file(taught / "model.safetensors")
    assert {n: t.tolist() for n, t in model.state_dict().items()} == {n: t.tolist() for n, t in expected.items()}
    photos = torch.rand(2, 3, 20, 17)
    assert torch.equal(model(photos), load_translator(taught)(photos))
    (tmp_path / "saved").mkdir()
    save_model(model, source.architecture, tmp_path / "saved")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "saved" / name).read_bytes() == (taught / name).read_bytes()


def test_a_table_with_free_output_channels_or_free_colours_does_not_pass() -> None:
    """Its own proof stands in test_families; here, that it can fail."""
    model = Translator(CONFIG)
    randomise(model, seed=3)
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items()}
    images = {"images": torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))}
    assert output_change(model, images, bind(FAMILY, shapes, model), 2) < 1e-9
    mistakes = {
        "net.{stage=-1}.{weight,bias}": "mid[stage] <- mid[stage-2] kernel kernel",
        "net.{stage=0}.{weight,bias}": "mid[stage] <- hidden kernel kernel",
        "net.{stage}.{weight,bias}": "mid[stage] <- mid:other kernel kernel",
    }
    for line, wrong in mistakes.items():
        layout = bind(replace(FAMILY, table={**FAMILY.table, line: wrong}), shapes, model)
        assert output_change(model, images, layout, 2) > 1e-2, line


def test_random_weights_change_nothing_yet_and_follow_their_seed() -> None:
    architecture = build(resolve("translator"), SMALL)
    one, other = (initialised(architecture, seed) for seed in (0, 1))
    photos = torch.rand(1, 3, 9, 9)
    assert torch.equal(one(photos), photos)
    first = "net.0.weight"
    assert not torch.equal(one.get_parameter(first), other.get_parameter(first))
    assert torch.equal(initialised(architecture, 0).get_parameter(first), one.get_parameter(first))


def test_every_start_of_a_race(taught: Path) -> None:
    starts = parse_starts([str(taught), "random", f"shuffled:{taught}", f"stats:{taught}", "he-normal"])
    architecture = architecture_of(starts, None, {})
    own, random, shuffled, stats, normal = (s.model(architecture, 0).state_dict() for s in starts)
    last = "net.6.weight"
    assert not random[last].any()
    assert normal[last].any()
    for name, values in own.items():
        assert torch.equal(shuffled[name].flatten().sort()[0], values.flatten().sort()[0])
    assert not torch.equal(shuffled[last], own[last])
    wide = "net.2.weight"
    assert float(stats[wide].std() / own[wide].std()) == pytest.approx(1, rel=0.1)
    assert not torch.equal(stats[wide], own[wide])
    with pytest.raises(UsageError, match=r"is of another architecture than --model translator: 'net\.0\.weight'"):
        architecture_of([parse_start(str(taught))], "translator", {})


def test_a_narrower_translator_is_cut_out(taught: Path, command: Command, tmp_path: Path) -> None:
    words = ("subclone", "--src", "taught", "--dst", "same", "--dst-args")
    assert command(*words, "width=8", "--out", "cut").code == 0
    assert load_translator(tmp_path / "cut").config == TranslatorConfig(width=8, layers=4)
    whole, cut = (load_file(tmp_path / d / "model.safetensors") for d in ("taught", "cut"))
    assert torch.equal(cut["net.6.bias"], whole["net.6.bias"])
    rows = whole["net.0.weight"].flatten(1).tolist()
    assert all(row in rows for row in cut["net.0.weight"].flatten(1).tolist())
    card = (tmp_path / "cut" / "README.md").read_text()
    namespace: dict[str, object] = {}
    code = card.split("```python\n")[1].split("```")[0].replace('"cut/', f'"{tmp_path}/cut/')
    exec(code, namespace)  # what the card says needs no weightgen
    photos = torch.rand(1, 3, 9, 11)
    made = namespace["edit"](photos)  # type: ignore[operator]
    assert torch.allclose(made, load_translator(tmp_path / "cut")(photos), atol=1e-6)
    command(*words, "width=16", "--out", "x").refused(2, "the target needs 16, the source has 12")
    command(*words, "width=8", "--calibrate", ".", "--out", "x").refused(2, "leave --calibrate out")


def test_what_is_wrong_is_told(taught: Path) -> None:
    def refused(error: type[WeightgenError], text: str, name: str = str(taught), **arguments: object) -> None:
        with pytest.raises(error, match=text) as found:
            open_source(resolve(name), arguments)
        assert type(found.value) is error

    refused(UsageError, r"a translator has no field 'widht'\. Did you mean 'width'\?", widht=8)
    refused(UsageError, r"a translator has no field 'format'\.", format="other")
    refused(UsageError, r"a translator refuses layers=1: input should be greater than or equal to 2", layers=1)
    refused(UsageError, "'translator' is an architecture without weights: name a directory", "translator")
    refused(InputError, r"'net\.0\.bias' is \[12\], translator expects \[8\]", width=8)
    config = json.loads((taught / "config.json").read_text())
    (taught / "config.json").write_text(json.dumps({**config, "width": "wide"}))
    refused(InputError, "config.json: width: input should be a valid integer")
    (taught / "config.json").write_text(json.dumps({**config, "format": "weightgen-other"}))
    refused(InputError, "neither 'architecture' .timm. nor 'model_type' .transformers.")
    (taught / "config.json").write_text(json.dumps(config))
    tensors = load_file(taught / "model.safetensors")
    save_file({n: t for n, t in tensors.items() if n != "net.2.bias"}, taught / "model.safetensors")
    with pytest.raises(InputError, match=r"has no tensor 'net\.2\.bias' .1 missing.: a start must be complete"):
        architecture_of([parse_start(str(taught))], None, {})
