"""The properties that every axis table must have, on the real timm and transformers classes."""

from __future__ import annotations

import pytest

from tests.zoo import Case, all_cases
from weightgen.models.families import find_family
from weightgen.models.layout import Layout, bind
from weightgen.models.libraries import LIBRARIES
from weightgen.models.proof import output_change, randomise

CASES = all_cases()


def layout_of(case: Case, model) -> Layout:
    key = model.config.model_type if case.library == "transformers" else type(model).__name__
    prefix = model.base_model_prefix if case.library == "transformers" else ""
    family = find_family(LIBRARIES[case.library].families, key)
    assert family is not None, f"no table for {key}"
    tied = set(getattr(model, "all_tied_weights_keys", {}) or {})
    return bind(family, {k: tuple(v.shape) for k, v in model.state_dict().items() if k not in tied}, model, prefix)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_permuting_every_free_axis_leaves_the_outputs_unchanged(case: Case) -> None:
    model = case.build("source")
    randomise(model, seed=1)
    layout = layout_of(case, model)
    assert output_change(model, case.inputs(), layout, 2, case.output_axes) < case.tolerance
