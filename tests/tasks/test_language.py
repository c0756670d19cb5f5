"""Causal and masked language modelling: losses by hand, masks, perplexity, teachers, and models that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Command
from tests.tiny_text import VOCABULARY, loaded, save_model, save_text, save_tokenizer
from tests.training.small_task import settings
from weightgen.errors import UsageError
from weightgen.recipe import TrainRecipe, make_recipe
from weightgen.tasks import make_task
from weightgen.tasks.distil import Distilled
from weightgen.tasks.language import Causal, Masked
from weightgen.training.loop import train
from weightgen.training.scoring import score
from weightgen.training.task import Task

LENGTH = 22
pytestmark = pytest.mark.usefixtures("one_thread")
Kind = type[Causal] | type[Masked]
KINDS: dict[Kind, str] = {Causal: "LlamaForCausalLM", Masked: "BertForMaskedLM"}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory with a model and the tokenizer for each class."""
    home = tmp_path_factory.mktemp("models")
    kinds = (*KINDS.values(), "BertModel")
    return {k: save_model(home / k, k) for k in kinds} | {"text": save_text(home / "text.txt", 4000)}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, homes: dict[str, Path]) -> tuple[Any, Any]:
    """A task and its model, of each kind."""
    return task_of(request.param, homes)


def task_of(kind: Kind, homes: dict[str, Path]) -> tuple[Any, Any]:
    home = homes[KINDS[kind]]
    architecture, model = loaded(home)
    return kind(str(homes["text"]), architecture, home, LENGTH), model


def test_loss_of_causal_is_the_mean_surprise_at_the_next_token(homes: dict[str, Path]) -> None:
    task, model = task_of(Causal, homes)
    batch = task.batch("train", [3, 1, 4])
    tokens = batch["tokens"]
    assert tokens.shape == (3, LENGTH)
    assert tokens[:, 0].tolist() == [5, 5, 5]
    with torch.no_grad():
        chances = model(input_ids=tokens).logits.softmax(-1)
        surprise = -torch.stack(
            [torch.stack([chances[i, t, tokens[i, t + 1]].log() for t in range(LENGTH - 1)]) for i in range(3)]
        )
        outputs = task.forward(model, batch)
    assert torch.allclose(task.loss(outputs, batch), surprise.mean(), atol=1e-5)
    assert torch.allclose(task.scores(outputs, batch), surprise.mean(1), atol=1e-5)
    assert task.terms(batch) == 3 * (LENGTH - 1)


def test_loss_of_masked_is_the_mean_surprise_at_what_was_masked(homes: dict[str, Path]) -> None:
    task, model = task_of(Masked, homes)
    batch, tokens = task.batch("train", [3, 1, 4], [7, 8, 9]), torch.from_numpy(task._tokens("train", [3, 1, 4]))
    assert batch["places"].shape == (3, 3)  # 15 % of the 20 tokens between [CLS] and [SEP]
    with torch.no_grad():
        chances = model(input_ids=batch["tokens"]).logits.softmax(-1)
        surprise = -torch.stack(
            [torch.stack([chances[i, t, tokens[i, t]].log() for t in batch["places"][i]]) for i in range(3)]
        )
        outputs = task.forward(model, batch)
    assert torch.allclose(task.loss(outputs, batch), surprise.mean(), atol=1e-5)
    assert torch.allclose(task.scores(outputs, batch), surprise.mean(1), atol=1e-5)
    assert task.terms(batch) == 9


def test_masks_are_a_function_of_the_draw_and_fixed_for_scoring(homes: dict[str, Path]) -> None:
    """Whatever batch an item is in, and drawn anew in training."""
    task, _ = task_of(Masked, homes)
    apart, together = task.batch("validation", [2]), task.batch("validation", [0, 2])
    assert all(torch.equal(apart[k][0], together[k][1]) for k in apart)
    again = [task.batch("train", [2], [draw])["places"] for draw in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_masks_cover_text_in_the_published_shares(homes: dict[str, Path], tmp_path: Path) -> None:
    """Special and unknown tokens are never predicted; 80 % masks, 10 % random tokens, 10 % as they were."""
    text = homes["text"].read_text().replace("w5 ", "unheard ")
    (tmp_path / "text.txt").write_text(text)
    task, _ = task_of(Masked, homes | {"text": tmp_path / "text.txt"})
    items = list(range(100)) * 20
    tokens, batch = torch.from_numpy(task._tokens("train", items)), task.batch("train", items, range(2000))
    assert (tokens == 1).any(dim=1).sum() > 500
    assert (tokens[:, 0] == 2).all()
    assert (tokens[:, -1] == 3).all()
    predicted = torch.zeros_like(tokens, dtype=torch.bool).scatter(1, batch["places"], True)
    assert (predicted.sum(1) == 3).all()
    assert (tokens[predicted] > 5).all()
    assert torch.equal(batch["tokens"][~predicted], tokens[~predicted])
    assert torch.equal(batch["labels"].flatten(), tokens[predicted])  # places come in order
    shown, labels = batch["tokens"][predicted], tokens[predicted]
    masks, kept = (shown == 4).float().mean(), (shown == labels).float().mean()
    assert 0.78 < masks < 0.825  # one random token in forty is the mask itself
    assert 0.085 < kept < 0.12
    assert torch.bincount(shown[(shown != 4) & (shown != labels)], minlength=VOCABULARY).count_nonzero() >= 39


def test_items_of_unknown_words_alone_are_left_out(homes: dict[str, Path], tmp_path: Path) -> None:
    text = homes["text"].read_text()
    (tmp_path / "text.txt").write_text("unheard " * 400 + text)
    task, _ = task_of(Masked, homes | {"text": tmp_path / "text.txt"})
    assert sum(task.sizes.values()) == 200
    task.batch("train", range(task.sizes["train"]))


def test_perplexity_of_a_model_that_knows_nothing_is_its_vocabulary(made: tuple[Any, Any]) -> None:
    task, model = made
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    assert task.metric.of(score(model, task, "test")) == pytest.approx(VOCABULARY, rel=1e-5)


def test_scores_do_not_depend_on_how_many_are_scored_at_a_time(made: tuple[Any, Any]) -> None:
    task, model = made
    assert task.scoring_batch == Task.scoring_batch
    found = score(model, task, "train")
    task.scoring_batch = 7
    assert np.allclose(score(model, task, "train"), found, atol=1e-5)


def test_large_vocabularies_are_scored_in_small_batches(
    monkeypatch: pytest.MonkeyPatch, homes: dict[str, Path]
) -> None:
    monkeypatch.setattr("weightgen.tasks.language.SCORED_LOGITS", 10 * LENGTH * VOCABULARY)
    task, model = task_of(Causal, homes)
    assert task.scoring_batch == 10
    assert Distilled(task, model, 0.5, 1.0).scoring_batch == 10


def test_training_lowers_perplexity(made: tuple[Any, Any]) -> None:
    task, model = made
    trained = train(model, task, settings(steps=40, batch_size=16, ema=0.0, learning_rate=0.02, marks=(0, 40)))
    before, after = task.metric.of(trained.curve)
    assert after < 0.8 * before


def test_a_teacher_that_is_the_student_has_nothing_to_say(made: tuple[Any, Any], homes: dict[str, Path]) -> None:
    task, model = made
    batch = task.batch("train", [0, 1, 2], [0, 1, 2])
    teacher, other = loaded(homes[KINDS[type(task)]])[1], loaded(homes[KINDS[type(task)]])[1]
    with torch.no_grad():
        other.get_output_embeddings().weight.add_(torch.randn(VOCABULARY, 16))

    def loss(teacher: Any, weight: float) -> Any:
        distilled = Distilled(task, teacher, weight, 2.0)
        distilled.check(model)
        return distilled.loss(distilled.forward(model.eval(), batch), batch).detach()

    assert float(loss(teacher, 1.0)) == pytest.approx(0, abs=1e-6)
    assert float(loss(other, 1.0)) > 1e-3
    assert torch.equal(loss(teacher, 0.0), task.loss(task.forward(model, batch), batch))


def test_teachers_with_other_tokens_are_refused(homes: dict[str, Path], tmp_path: Path) -> None:
    """Another tokenizer by its words; the same tokenizer with more rows in the embeddings by the outputs."""
    task, model = task_of(Causal, homes)
    teacher = save_model(tmp_path / "teacher", "LlamaForCausalLM", vocab_size=VOCABULARY + 8)
    wider = Distilled(task, loaded(teacher)[1], 0.5, 1.0)
    batch = task.batch("train", [0])
    with pytest.raises(UsageError, match="the teacher has 48 outputs, the model 40"):
        wider.loss(wider.forward(model, batch), batch)
    save_tokenizer(teacher, tuple(f"v{i}" for i in range(34)))
    home = homes["LlamaForCausalLM"]
    recipe = make_recipe(
        TrainRecipe, {"task": "causal", "data": str(homes["text"]), "teacher": str(teacher), "length": LENGTH}
    )
    with pytest.raises(UsageError, match=r"another tokenizer than the model \('[vw]\d+' is token"):
        make_task(recipe, loaded(home)[0], home)


def test_models_of_another_kind_are_refused(homes: dict[str, Path]) -> None:
    """One that sees ahead would predict without knowing; one without a head predicts nothing."""
    causal, llama = task_of(Causal, homes)
    masked, bert = task_of(Masked, homes)
    causal.check(llama)
    masked.check(bert)
    with pytest.raises(UsageError, match="BertForMaskedLM sees the tokens that it should predict"):
        causal.check(bert)
    for task in (causal, masked):
        with pytest.raises(UsageError, match="BertModel does not predict tokens: choose a"):
            task.check(loaded(homes["BertModel"])[1])
        with pytest.raises(UsageError, match="the model cannot take items of 22 tokens"):
            task.check(torch.nn.Linear(2, 2))
    few = save_model(homes["text"].parent / "few", "LlamaForCausalLM", vocab_size=30)
    with pytest.raises(UsageError, match="the model cannot take items of 22 tokens: index out of range"):
        causal.check(loaded(few)[1])


def test_masked_needs_a_mask_token(homes: dict[str, Path], tmp_path: Path) -> None:
    home = save_tokenizer(tmp_path, mask=None)
    with pytest.raises(UsageError, match="has no mask token: try --task causal"):
        Masked(str(homes["text"]), loaded(homes["BertForMaskedLM"])[0], home, LENGTH)


def test_the_beginning_token_may_be_the_config_s_or_none(homes: dict[str, Path], tmp_path: Path) -> None:
    home = save_tokenizer(tmp_path, bos=None)
    architecture = loaded(homes["LlamaForCausalLM"])[0]
    assert Causal(str(homes["text"]), architecture, home, LENGTH).batch("test", [0])["tokens"][0, 0] == 5
    architecture.config.bos_token_id = None
    bare = Causal(str(homes["text"]), architecture, home, LENGTH)
    assert bare.batch("test", [0])["tokens"][0, 0] > 5
    assert sum(bare.sizes.values()) == 4000 // LENGTH


def test_train_publishes_a_model_with_its_tokenizer(command: Command, homes: dict[str, Path], tmp_path: Path) -> None:
    """The tokenizer comes from --model where the start has none."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    start = save_model(tmp_path / "start", "LlamaForCausalLM", seed=1)
    for file in start.glob("*token*"):
        file.unlink()
    words = ("--task", "causal", "--start", start, "--data", homes["text"], "--length", str(LENGTH), "--steps", "2")
    words += ("--batch-size", "4", "--threads", "1", "--out", "out")
    assert command("train", *words, "--model", homes["LlamaForCausalLM"]).code == 0
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("w1")["input_ids"] == [2, 7, 3]
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.vocab_size == VOCABULARY
    command("train", *words[:-1], "again").refused(2, "no tokenizer in")
