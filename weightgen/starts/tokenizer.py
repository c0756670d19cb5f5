"""Where the tokenizer or preprocessor of what is trained lies."""

from __future__ import annotations

from pathlib import Path

from weightgen.models.libraries import LIBRARIES
from weightgen.models.names import resolve
from weightgen.models.tokenizer import download_tokenizer
from weightgen.publishing.sidecars import has_tokenizer
from weightgen.recipe import TrainingRecipe
from weightgen.starts.start import Start


def data_directory(recipe: TrainingRecipe, *starts: Start) -> Path | None:
    """Return where the tokenizer or preprocessor of a model lies: beside a start, or the named model.

    For text that is the first directory with a tokenizer, or a repository whose tokenizer is fetched.
    """
    names = [s.directory for s in starts if s.directory] + ([recipe.model] if recipe.model else [])
    references = [resolve(name) for name in names]
    found = [r.directory for r in references if r.directory is not None]
    repository = next((r for r in references if LIBRARIES[r.library].has_tokenizers and r.name), None)
    with_tokenizer = next((d for d in found if has_tokenizer(d)), None)
    if recipe.task != "classify" and with_tokenizer is not None:
        return with_tokenizer
    if recipe.task != "classify" and repository is not None:
        return download_tokenizer(repository)
    return next(iter(found), None)
