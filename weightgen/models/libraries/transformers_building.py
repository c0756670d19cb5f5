"""Models of transformers from their configs: checked on paper first, then built by the class that is named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weightgen.errors import UsageError, printable
from weightgen.models.building import REFUSALS, on_meta
from weightgen.models.libraries.transformers_config import check_sizes, refuse_uneven, refused

if TYPE_CHECKING:
    import torch


def build_model(config: Any, class_name: str | None) -> tuple[torch.nn.Module, Callable[[], torch.nn.Module]]:
    """Return a model on the meta device, and what builds it with values; raises UsageError for what makes no model."""
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    check_sizes(config)
    refuse_uneven(config)
    listed = config.architectures or []
    if not isinstance(listed, (list, tuple)):
        raise UsageError(f"architectures: expected a list of names, found {printable(repr(listed), 40)}")
    class_name = class_name or next(iter(listed), None)
    model_class = getattr(transformers, str(class_name), None) if class_name else None
    # The name comes from a file: nothing but a model may be built by it.
    if class_name and not _is_model(model_class):
        version = transformers.__version__
        raise UsageError(f"transformers {version} has no model class '{printable(str(class_name))}'")

    def make() -> torch.nn.Module:
        # A copy, since classes adjust the config they are given.
        own = copy.deepcopy(config)
        made = transformers.AutoModel.from_config(own) if model_class is None else model_class(own)
        return made  # type: ignore[no-any-return]

    try:
        config.validate()  # saving would, after all the work
        model = on_meta(make)
    except (StrictDataclassError, *REFUSALS) as error:
        raise refused(error) from error
    return model, make


@contextmanager
def without_bars() -> Iterator[None]:
    """Hide the bar that loading draws, and its report of what was missing, while the block runs."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _is_model(found: Any) -> bool:
    """Whether a name of transformers is a model that can run, and not one of its abstract classes."""
    from transformers import PreTrainedModel

    model = isinstance(found, type) and issubclass(found, PreTrainedModel)
    return model and found.forward is not PreTrainedModel.forward
