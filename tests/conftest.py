"""Tiny real sources made once per session, and the command line called in-process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: no test touches the network
if "WEIGHTGEN_TESTS" not in os.environ:  # workers of one call share what its first process makes
    os.environ["WEIGHTGEN_TESTS"] = tempfile.mkdtemp(prefix="weightgen-tests-")
    os.environ["HF_DATASETS_CACHE"] = os.environ["WEIGHTGEN_TESTS"]  # read when datasets is imported
    atexit.register(shutil.rmtree, os.environ["WEIGHTGEN_TESTS"], ignore_errors=True)

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

VIT = ("--src", "timm:vit_tiny_patch16_224")
VIT += ("--src-args", "embed_dim=24,depth=2,num_heads=3,img_size=32,num_classes=5")
SMALL_VIT = ("--dst", "same", "--dst-args", "embed_dim=16,num_heads=2,depth=1")
SMALL_LLAMA = ("--dst", "same", "--dst-args", "num_hidden_layers=2,hidden_size=8,num_attention_heads=2,head_dim=4")


@dataclass(frozen=True)
class Outcome:
    """How one call of the command line ended."""

    code: int
    out: str
    err: str
    left: frozenset[str]
    """Files and directories that appeared or vanished below the test's directory."""

    def refused(self, code: int, *texts: str) -> None:
        """Assert exit code, wording, brevity, and that nothing was left behind."""
        assert self.code == code, self.err
        lines = self.err.rstrip("\n").split("\n")
        first = next((i for i, line in enumerate(lines) if line.startswith("error: ")), len(lines))
        assert 1 <= len(lines) - first <= 3, self.err
        assert "Traceback" not in self.err
        assert all(c.isprintable() for line in lines for c in line), repr(self.err)
        for text in texts:
            assert text in self.err
        assert self.left == frozenset()


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call `weightgen WORDS...` with the test's own directory as the current one."""
    from weightgen.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> Outcome:
        before = {str(p) for p in tmp_path.rglob("*")}
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        left = before ^ {str(p) for p in tmp_path.rglob("*")}
        code = ended.value.code
        assert isinstance(code, int)
        return Outcome(code, said.out, said.err, frozenset(left))

    return call


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other in tiny models lose more than they win."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers checkpoint directory: grouped queries, 4 layers, 40 tokens, no tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 4, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4}
    config = LlamaConfig(**sizes, num_key_value_heads=2, vocab_size=40, max_position_embeddings=32)
    directory = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture
def source(llama: Path, tmp_path: Path) -> Path:
    """A copy of the LLaMA-style source, free to be broken."""
    return Path(shutil.copytree(llama, tmp_path / "source"))


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare weights file of a timm ViT, whose architecture VIT names."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sizes = {"embed_dim": 24, "depth": 2, "num_heads": 3, "img_size": 32, "num_classes": 5}
    file = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224", **sizes).state_dict(), file)
    return file
