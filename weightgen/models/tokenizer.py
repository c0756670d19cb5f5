"""Tokenizers of models: their own, beside their weights, or fetched from their repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weightgen.errors import InputError, NetworkError, UsageError, printable
from weightgen.models.architecture import Architecture
from weightgen.models.reference import Reference
from weightgen.publishing.sidecars import TOKENIZER, has_tokenizer


def open_tokenizer(directory: Path) -> Any:
    """Read the tokenizer of a directory; raises InputError where it is broken."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        tokenizer("a")  # some of its settings are first looked at here
        return tokenizer
    except Exception as error:  # each kind of tokenizer, and the Rust behind it, raises its own
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise InputError(f"{printable(str(directory))}: its tokenizer cannot be read: {reason}") from error


def tokenizer_of(architecture: Architecture, directory: Path | None, length: int) -> Any:
    """Return a model's own tokenizer.

    Raises UsageError where the model takes no text, there is no tokenizer, it has tokens that the model does not
    know, or items of `length` tokens are longer than the model's positions; InputError where it is broken.
    """
    config = architecture.adapter.text_config(architecture)
    vocabulary, positions = getattr(config, "vocab_size", None), getattr(config, "max_position_embeddings", None)
    if vocabulary is None:
        raise UsageError(f"{architecture.name} takes no text: choose a language model of transformers")
    if isinstance(positions, int) and 0 < positions < length:
        raise UsageError(f"--length {length}: {architecture.name} has {positions} positions (max_position_embeddings)")
    if directory is None or not has_tokenizer(directory):
        where = f"in {printable(str(directory))}" if directory is not None else "beside the model"
        raise UsageError(
            f"no tokenizer {where}: copy tokenizer.json and tokenizer_config.json there, "
            "or name a directory that has them with --model"
        )
    tokenizer = open_tokenizer(directory)
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= vocabulary:
        raise UsageError(
            f"the tokenizer in {printable(str(directory))} has tokens up to number {highest}, {architecture.name} "
            f"knows {vocabulary} (vocab_size): it belongs to another model"
        )
    return tokenizer


def download_tokenizer(reference: Reference) -> Path:
    """Fetch the tokenizer of a repository alone; returns its directory, raises NetworkError where that fails."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(reference.name, revision=reference.revision, allow_patterns=list(TOKENIZER)))
    except Exception as error:  # huggingface_hub raises its own, httpx's and OS errors for one and the same thing
        raise NetworkError(
            f"could not reach the hub for the tokenizer of '{printable(reference.name)}' ({type(error).__name__})\n"
            "Download it elsewhere, beside a config.json, and pass its directory as --model."
        ) from error
