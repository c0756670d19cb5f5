"""Element and block selection: the published rule in exact integers, and its variants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightgen.errors import UsageError
from weightgen.models.axes import Axis
from weightgen.subcloning.depth import choose_blocks
from weightgen.subcloning.select import make_chooser, ranked, rotary, uniform

LAYER = Axis("layer")


@given(st.integers(1, 600), st.data())
def test_uniform_is_rounded_linspace_half_to_even(target: int, data) -> None:
    source = data.draw(st.integers(target, 1200))
    from fractions import Fraction

    if source % target == 0:
        expected = [i * (source // target) for i in range(target)]
    else:
        expected = [round(Fraction(i * (source - 1), target - 1)) for i in range(target)]
    assert uniform(source, target).tolist() == expected


@pytest.mark.parametrize(("source", "target"), [(1024, 384), (768, 192), (1280, 384), (197, 50), (4096, 1536)])
def test_uniform_equals_the_authors_float_rule_on_common_sizes(source: int, target: int) -> None:
    import torch

    step = torch.arange(target) * (source // target)
    line = step if source % target == 0 else torch.round(torch.linspace(0, source - 1, target)).long()
    assert uniform(source, target).tolist() == line.tolist()


def test_ranked_keeps_the_highest_in_source_order_with_ties_to_the_lower_index() -> None:
    assert ranked(np.array([1.0, 5.0, 3.0, 5.0, 3.0]), 3).tolist() == [1, 2, 3]


def test_random_choices_depend_on_seed_and_axis_only() -> None:
    one, two = make_chooser("random", 0), make_chooser("random", 1)
    a, b = Axis("embed"), Axis("hidden", (("layer", 0),))
    assert one(a, 64, 16).tolist() == one(a, 64, 16).tolist()
    assert one(a, 64, 16).tolist() != two(a, 64, 16).tolist()
    assert one(a, 64, 16).tolist() != one(b, 64, 16).tolist()


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_keeps_pairs_whose_frequencies_are_those_of_the_smaller_head(interleaved: bool) -> None:
    source, target = 16, 8
    frequency = 10000.0 ** (-np.arange(source // 2) * 2 / source)
    per_index = np.repeat(frequency, 2) if interleaved else np.concatenate([frequency, frequency])
    wanted = 10000.0 ** (-np.arange(target // 2) * 2 / target)
    kept = per_index[rotary(source, target, interleaved, Axis("rotary"))]
    np.testing.assert_allclose(kept, np.repeat(wanted, 2) if interleaved else np.concatenate([wanted, wanted]))


def test_a_rotary_head_that_would_change_its_frequencies_is_refused() -> None:
    with pytest.raises(UsageError, match="rotary head size 64 cannot become 48"):
        rotary(64, 48, False, Axis("rotary"))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("first", [0, 1, 2, 3, 4]),
        ("spread", [0, 2, 5, 8, 11]),
        ("ends", [0, 1, 2, 10, 11]),
        ([0, 2, 3, 7, 9], [0, 2, 3, 7, 9]),
    ],
)
def test_depth_rules(rule, kept) -> None:
    assert choose_blocks(LAYER, 12, 5, rule).tolist() == kept


def test_influence_drops_the_least_influential_and_keeps_a_pinned_first_block() -> None:
    scores = np.array([0.1, 0.9, 0.2, 0.8])
    assert choose_blocks(LAYER, 4, 2, "influence", scores).tolist() == [1, 3]
    assert choose_blocks(LAYER, 4, 2, "influence", scores, pinned=True).tolist() == [0, 1]


@pytest.mark.parametrize("rule", ["first", "spread", "ends"])
def test_blocks_that_alternate_keep_their_kind(rule: str) -> None:
    kept = choose_blocks(LAYER, 18, 6, rule, period=2)
    assert (kept % 2 == np.arange(6) % 2).all()


@pytest.mark.parametrize("blocks", [[0, 1], [0, 2, 1], [0, 1, 12]])
def test_a_list_of_blocks_that_does_not_fit_is_refused(blocks: list[int]) -> None:
    with pytest.raises(UsageError, match="expected 3 ascending block numbers below 12"):
        choose_blocks(LAYER, 12, 3, blocks)


def test_a_deeper_target_is_refused() -> None:
    with pytest.raises(UsageError, match="the target has 6 blocks, the source 4"):
        choose_blocks(LAYER, 4, 6, "first")
