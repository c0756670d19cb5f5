"""Sentence-embedding distillation: sentences, the teacher's embeddings, loss and scores by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Command
from tests.tiny_text import WORDS, loaded, save_model
from tests.training.small_task import settings
from weightgen.errors import InputError, UsageError
from weightgen.models.pooling import mean_pooled
from weightgen.tasks.embeddings import sentences_of
from weightgen.tasks.sentences import Sentences
from weightgen.tasks.texts import load_texts
from weightgen.training.loop import train

LENGTH = 16
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student, a wider teacher and 800 sentences."""
    home = tmp_path_factory.mktemp("sentences")
    save_model(home / "student", "BertModel", hidden_size=8)
    save_model(home / "teacher", "BertModel", seed=1, initializer_range=0.5)  # one that tells sentences apart
    save_sentences(home / "text.txt", 800)
    return home


def save_sentences(file: Path, count: int, seed: int = 0) -> Path:
    """Write sentences of eight to twelve random words, which are all different."""
    draw = np.random.default_rng(seed)
    rows = [draw.integers(0, len(WORDS), draw.integers(8, 13)) for _ in range(count)]
    file.write_text("".join(" ".join(WORDS[i] for i in row) + "\n" for row in rows))
    return file


def task_of(home: Path, student: str = "student", **changes: Any) -> tuple[Sentences, torch.nn.Module]:
    architecture, model = loaded(home / student)
    given: dict[str, Any] = {"data": str(home / "text.txt"), "teacher": str(home / "teacher"), "length": LENGTH}
    return Sentences(**(given | changes), architecture=architecture, directory=home / student), model


def similarities(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def embeddings_one_by_one(model: Any, texts: list[str]) -> np.ndarray:
    """Mean of the hidden states of each text alone, no padding."""
    made = []
    for text in texts:
        ids = torch.tensor([[2, *(6 + WORDS.index(w) for w in text.split()), 3]])
        with torch.no_grad():
            made.append(model(input_ids=ids).last_hidden_state[0].mean(0).numpy())
    return np.stack(made)


def test_sentences_are_split_and_each_taken_once(tmp_path: Path) -> None:
    """No headings, 6 to 64 words; what the training text has is not in the test text."""
    long = " ".join(["word"] * 64)
    (tmp_path / "train.txt").write_text(
        " = A heading of more than six words = \n# Another heading of more than six words\n"
        "One two three four five six. Too short! Is this one long enough for us?  This one is, it has no stop\n"
        f"{long}\n{long} more\nOne two three four five six.\n"
    )
    (tmp_path / "test.txt").write_text("One two three four five six. Seven eight nine ten eleven twelve .\n")
    found = sentences_of(load_texts(str(tmp_path)))
    first = ["One two three four five six.", "Is this one long enough for us?", "This one is, it has no stop"]
    assert list(found["train"]["text"]) == [*first, long]
    assert list(found["test"]["text"]) == ["Seven eight nine ten eleven twelve ."]


def test_splits_are_neighbouring_runs_and_scored_in_whole_chunks(home: Path, tmp_path: Path) -> None:
    task, _ = task_of(home)
    assert task.sizes == {"train": 720, "tune": 20, "validation": 20, "test": 40}
    whole = list(sentences_of(load_texts(str(home / "text.txt")))["train"]["text"])
    splits = ("train", "tune", "validation", "test")
    assert [t for s in splits for t in task._parts[s]["text"]] == whole
    for name in ("train", "test"):
        save_sentences(tmp_path / f"{name}.txt", 800, seed=len(name))
    save_sentences(tmp_path / "valid.txt", 32, seed=9)
    assert task_of(home, data=str(tmp_path))[0].sizes["test"] == 768


def test_teacher_and_student_embed_each_sentence_as_if_alone(home: Path) -> None:
    """Neither padding nor the order in which sentences are computed shows."""
    task, model = task_of(home)
    assert isinstance(task._parts["test"]["text"][0], str)
    items = [5, 0, 17]
    texts = [task._parts["test"]["text"][i] for i in items]
    batch = task.batch("test", items)
    teacher = embeddings_one_by_one(loaded(home / "teacher")[1], texts)
    assert np.allclose(batch["teacher"], teacher / np.linalg.norm(teacher, axis=1, keepdims=True), atol=1e-5)
    with torch.no_grad():
        ours = task.forward(model, batch).numpy()
        short = mean_pooled(model, torch.tensor([[2, 7, 3, 0]]), torch.tensor([[1, 1, 1, 0]])).numpy()
    assert np.allclose(ours, embeddings_one_by_one(model, texts), atol=1e-5)
    assert np.allclose(short, embeddings_one_by_one(model, ["w1"]), atol=1e-5)


def test_loss_is_the_mean_squared_difference_over_pairs(home: Path) -> None:
    task, model = task_of(home)
    batch = task.batch("train", range(5))
    with torch.no_grad():
        outputs = task.forward(model, batch)
        found = float(task.loss(outputs, batch))
        scores = task.scores(outputs, batch)
    ours, theirs = similarities(outputs.numpy()), similarities(batch["teacher"].numpy())
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    assert found == pytest.approx(np.mean([(ours[p] - theirs[p]) ** 2 for p in pairs]), rel=1e-4)
    others = [[j for j in range(5) if j != i] for i in range(5)]
    wanted = [np.corrcoef(ours[i, others[i]], theirs[i, others[i]])[0, 1] for i in range(5)]
    assert np.allclose(scores, wanted, atol=1e-3)


def test_a_student_that_is_the_teacher_has_nothing_to_learn(home: Path) -> None:
    task, model = task_of(home, student="teacher")
    batch = task.batch("train", range(8))
    with torch.no_grad():
        outputs = task.forward(model, batch)
    assert float(task.loss(outputs, batch)) == pytest.approx(0, abs=1e-9)
    assert np.allclose(task.scores(outputs, batch), 1, atol=1e-3)
    assert task.scores(torch.ones(8, 3), batch).tolist() == [0.0] * 8  # one that tells nothing apart


def test_teacher_runs_once_until_its_files_change(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = Path(shutil.copytree(home / "teacher", tmp_path / "teacher"))
    before = task_of(home, teacher=str(teacher))[0].batch("test", [0])["teacher"]
    monkeypatch.setattr("weightgen.tasks.embeddings.load_model", None)  # a second run would call it
    assert torch.equal(task_of(home, teacher=str(teacher))[0].batch("test", [0])["teacher"], before)
    monkeypatch.undo()
    save_model(teacher, "BertModel", seed=2)
    assert not torch.allclose(task_of(home, teacher=str(teacher))[0].batch("test", [0])["teacher"], before, atol=0.1)


def test_every_parameter_gets_a_gradient(home: Path) -> None:
    """Data-parallel training fails on parameters without, as those of BERT's pooler; which is not changed by it."""
    task, model = task_of(home)
    batch = task.batch("train", range(4))
    task.loss(task.forward(model, batch), batch).backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert not model.get_parameter("pooler.dense.weight").grad.any()  # type: ignore[union-attr]


def test_training_raises_the_correlation(home: Path) -> None:
    task, model = task_of(home)
    trained = train(model, task, settings(steps=100, batch_size=32, ema=0.0, learning_rate=0.01, marks=(0, 100)))
    before, after = task.metric.of(trained.curve)
    assert after > before + 0.15


def test_what_does_not_fit_is_refused(home: Path, tmp_path: Path) -> None:
    task, model = task_of(home)
    batch = task.batch("train", [0])
    with pytest.raises(UsageError, match="needs at least two, raise --batch-size"):
        task.loss(task.forward(model, batch), batch)
    save_model(tmp_path / "head", "BertForMaskedLM")
    with pytest.raises(UsageError, match="BertForMaskedLM gives no hidden states: choose a base model"):
        task.check(loaded(tmp_path / "head")[1])
    with pytest.raises(UsageError, match="BertForMaskedLM gives no hidden states"):
        task_of(home, teacher=str(tmp_path / "head"))
    few = save_model(tmp_path / "few", "BertModel", max_position_embeddings=8)
    with pytest.raises(UsageError, match="the model cannot take sentences"):
        task.check(loaded(few)[1])
    with pytest.raises(UsageError, match="--length 16: BertModel has 8 positions"):
        task_of(home, teacher=str(few))
    with pytest.raises(InputError, match="639 different sentences of 6 to 64 words in the train text, 640 needed"):
        task_of(home, data=str(save_sentences(tmp_path / "few.txt", 639)))
    (few / "tokenizer.json").unlink()
    (few / "tokenizer_config.json").unlink()
    with pytest.raises(UsageError, match="no tokenizer in"):
        task_of(home, teacher=str(few), length=8)


def test_train_publishes_an_encoder_with_its_pooling(command: Command, home: Path, tmp_path: Path) -> None:
    words = ("--task", "sentences", "--start", home / "student", "--data", home / "text.txt", "--length", str(LENGTH))
    words += ("--steps", "2", "--batch-size", "4", "--threads", "1", "--out", "out")
    command("train", *words).refused(2, "sentences imitates a teacher", "--teacher")
    start = Path(shutil.copytree(home / "student", tmp_path / "student"))
    (start / "modules.json").write_text("[]")
    (start / "1_Pooling").mkdir()
    (start / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 8}')
    words = tuple(start if w == home / "student" else w for w in words)
    made = command("train", *words, "--teacher", home / "teacher")
    assert made.code == 0, made.err
    assert "similarity correlation" in made.out
    assert (tmp_path / "out" / "1_Pooling" / "config.json").is_file()
    assert (tmp_path / "out" / "tokenizer.json").is_file()
