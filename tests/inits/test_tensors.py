"""What all tensor-level initialisers share: shapes, dtypes, devices, seeds, bad input, and examples that run."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from weightgen import inits
from weightgen.errors import UsageError
from weightgen.inits.activations import ACTIVATIONS, activation_of
from weightgen.inits.eoi import eoi_
from weightgen.inits.idinit import idinit_, idinit_zero_
from weightgen.inits.kumar import kumar_
from weightgen.inits.looks_linear import looks_linear_
from weightgen.inits.low_rank import low_rank_
from weightgen.inits.maxout import maxout_
from weightgen.inits.poincare import poincare_identity_
from weightgen.inits.preserving import preserving_, preserving_first_
from weightgen.inits.rational import Rational, rational_
from weightgen.inits.tensors import by_group, centre_tap, fan_in, fill
from weightgen.inits.zero import zero_

MODULES = ["activations", "eoi", "gain", "idinit", "kumar", "looks_linear", "low_rank", "maxout", "poincare"]
MODULES += ["preserving", "rational", "zero"]
SOFTSIGN = Rational([0, 1, 0, 0, 0, 0], [1, 0, 0, 0])

Rule = Callable[[Tensor, torch.Generator], Tensor]
RULES: dict[str, Rule] = {
    "zero_": lambda w, g: zero_(w),
    "idinit_": lambda w, g: idinit_(w, loose=1e-6, generator=g),
    "idinit_zero_": lambda w, g: idinit_zero_(w),
    "looks_linear_": lambda w, g: looks_linear_(w, generator=g),
    "eoi_": lambda w, g: eoi_(w, 0.5, generator=g),
    "kumar_": lambda w, g: kumar_(w, "tanh", g),
    "preserving_": lambda w, g: preserving_(w, "tanh", generator=g),
    "preserving_first_": lambda w, g: preserving_first_(w, 0.5, 0.5, generator=g),
    "maxout_": lambda w, g: maxout_(w, 2, generator=g),
    "rational_": lambda w, g: rational_(w, SOFTSIGN, g),
    "poincare_identity_": lambda w, g: poincare_identity_(w),
    "low_rank_": lambda w, g: low_rank_(fill(w, 1.0, g), 2),
}
FIXED = {"zero_", "idinit_zero_", "poincare_identity_"}
CENTRED = {"zero_", "looks_linear_", "eoi_"}
SPREAD = {"kumar_", "preserving_", "preserving_first_", "maxout_", "rational_"}


def drawn(name: str, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    weight = torch.full(shape, torch.nan, dtype=dtype)
    assert RULES[name](weight, torch.Generator().manual_seed(seed)) is weight
    return weight


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("shape", [(8, 4), (16, 16, 3), (12, 4, 3, 3), (6, 6, 1, 1), (8, 2, 1, 3, 5)])
def test_every_value_is_written_and_the_seed_decides(name: str, shape: tuple[int, ...]) -> None:
    one, same, other = drawn(name, shape), drawn(name, shape), drawn(name, shape, seed=1)
    assert one.shape == shape
    assert bool(torch.isfinite(one).all())
    assert one.any()
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (name in FIXED)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_are_roundings_of_the_same_weights(name: str, dtype: torch.dtype) -> None:
    exact, found = drawn(name, (12, 6), dtype=torch.float64), drawn(name, (12, 6), dtype=dtype)
    assert found.dtype == dtype
    if name == "low_rank_":  # it begins with what is rounded already
        assert torch.allclose(found.double(), exact, atol=4 * torch.finfo(dtype).eps)
    else:
        assert torch.equal(found, exact.to(dtype))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", RULES)
def test_a_gpu_gets_the_weights_of_the_cpu(name: str) -> None:
    weight = torch.empty(12, 6, device="cuda")
    RULES[name](weight, torch.Generator().manual_seed(0))
    assert torch.allclose(weight.cpu(), drawn(name, (12, 6)), atol=1e-6)
    if name not in FIXED:
        RULES[name](weight, torch.Generator("cuda").manual_seed(0))
        assert bool(torch.isfinite(weight).all())


@pytest.mark.parametrize("name", RULES)
def test_parameters_and_views_are_filled_in_place(name: str) -> None:
    parameter = torch.nn.Parameter(torch.zeros(6, 12))
    version = parameter._version
    view = parameter.T
    RULES[name](view, torch.Generator().manual_seed(0))
    assert parameter.any()
    assert parameter.grad_fn is None
    assert parameter.requires_grad
    assert parameter._version > version  # a graph that saved the old values notices
    assert torch.allclose(view, drawn(name, (12, 6)), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(RULES)),
    out=st.integers(1, 20),
    channels=st.integers(1, 20),
    kernel=st.lists(st.sampled_from([1, 3, 5]), max_size=2),
    seed=st.integers(0, 99),
)
def test_any_shape_works_or_says_why_not(name: str, out: int, channels: int, kernel: list[int], seed: int) -> None:
    weight = torch.full((out, channels, *kernel), torch.nan)
    generator = torch.Generator().manual_seed(seed)
    impossible = {
        "looks_linear_": out % 2 or channels % 2,
        "eoi_": max(out, channels) == 1,  # half of one number
        "maxout_": out % 2,
        "idinit_zero_": fan_in(weight) == 1,
        "poincare_identity_": not kernel and out < channels,
        "low_rank_": min(out, fan_in(weight)) < 2,
    }
    if impossible.get(name):
        with pytest.raises(UsageError):
            RULES[name](weight, generator)
        assert name == "low_rank_" or bool(weight.isnan().all())
        return
    RULES[name](weight, generator)
    assert bool(torch.isfinite(weight).all())
    if name in CENTRED and kernel:
        centre = centre_tap(weight)
        assert centre.any()
        assert int(weight.count_nonzero()) == int(centre.count_nonzero())


@pytest.mark.parametrize("name", ["zero_", "idinit_", "idinit_zero_", "looks_linear_", "eoi_", "low_rank_"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_group_has_a_matrix_of_its_own(name: str, groups: int) -> None:
    weight = torch.nn.init.normal_(torch.empty(16, 8 // groups, 3, 3), generator=torch.Generator().manual_seed(1))
    before = weight.clone()
    needed: dict[str, dict[str, float]] = {"eoi_": {"density": 0.6}, "low_rank_": {"rank": 1}}
    options = needed.get(name, {})
    getattr(inits, name)(weight, **options, groups=groups)
    for part, old in zip(by_group(weight, groups), by_group(before, groups), strict=True):
        if name in ("zero_", "idinit_", "idinit_zero_"):
            assert torch.equal(part, getattr(inits, name)(torch.empty_like(part)))
        elif name == "low_rank_":
            assert torch.linalg.matrix_rank(part.flatten(1).double(), rtol=1e-5) == 1
            assert float(part.norm()) == pytest.approx(float(old.norm()))
        else:
            values = torch.linalg.svdvals(centre_tap(part))
            kept = values[values > 1e-5]
            assert kept.tolist() == pytest.approx([2.0 if name == "looks_linear_" else 1.0] * len(kept), abs=1e-5)
    with pytest.raises(UsageError, match="groups: expected a divisor of the 16 outputs, found 3"):
        getattr(inits, name)(weight, **options, groups=3)


def test_depthwise_identities_are_identities() -> None:
    x = torch.randn(2, 5, 7, 7, generator=torch.Generator().manual_seed(0))
    weight = zero_(torch.empty(5, 1, 3, 3), groups=5)
    assert torch.equal(torch.nn.functional.conv2d(x, weight, padding=1, groups=5), x)
    assert not torch.equal(torch.nn.functional.conv2d(x, zero_(weight), padding=1, groups=5), x)  # 5 rows of one matrix


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("weight", "text"),
    [
        (torch.empty(4, 4, device="meta"), "meta device has no values: build it with values first"),
        (torch.empty(4, 4, dtype=torch.int8), "expected a weight of floating point, found torch.int8"),
        (torch.empty(4, 4, dtype=torch.complex64), "found torch.complex64"),
        (torch.empty(4), r"expected a weight \(out, in\) or \(out, in, \*kernel\), found \[4\]"),
        (torch.empty(4, 0), r"the weight \[4, 0\] has fan-in 0"),
        (torch.empty(4, 2, 0), "has fan-in 0"),
        (torch.empty(0, 4), r"the weight \[0, 4\] has no outputs"),
    ],
)
def test_what_has_nothing_to_initialise_is_refused(name: str, weight: Tensor, text: str) -> None:
    rule = (lambda w, g: low_rank_(w, 1)) if name == "low_rank_" else RULES[name]
    with pytest.raises(UsageError, match=text) as found:
        rule(weight, torch.Generator())
    assert str(found.value).startswith(("preserving_" if name == "rational_" else name) + ": ")


@pytest.mark.parametrize("name", sorted(CENTRED))
def test_even_kernels_have_no_centre(name: str) -> None:
    weight = torch.ones(4, 4, 3, 2)
    with pytest.raises(UsageError, match="a kernel of 3 x 2 has no centre: expected odd sides"):
        RULES[name](weight, torch.Generator())
    assert bool((weight == 1).all())


@pytest.mark.parametrize("name", sorted(SPREAD))
def test_fan_in_counts_the_kernel_and_one_group(name: str) -> None:
    narrow, wide = drawn(name, (64, 16, 1, 1)), drawn(name, (64, 16, 3, 3))
    assert float(narrow.std() / wide.std()) == pytest.approx(3, rel=0.1)
    assert abs(float(wide.mean() / wide.std())) < 0.05


def test_activations_by_name() -> None:
    z = torch.linspace(-2, 2, 5, dtype=torch.float64)
    for name, f in ACTIVATIONS.items():
        assert activation_of(name.upper().replace("_", "-")) is f
        assert f(z).shape == z.shape
    assert activation_of(torch.nn.GELU())(z).shape == z.shape
    with pytest.raises(UsageError, match=r"unknown activation 'gelo'\. Did you mean 'gelu'\? Known: identity, relu, "):
        activation_of("gelo")
    with pytest.raises(UsageError, match=r"\\x1b"):
        activation_of("\x1b[2J")


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    """Every public function has one."""
    found = import_module(f"weightgen.inits.{module}")
    result = doctest.testmod(found)
    assert result.failed == 0
    for name, value in vars(found).items():
        if getattr(value, "__module__", "") == found.__name__ and not name.startswith("_") and name.endswith("_"):
            assert ">>>" in value.__doc__, name
    assert result.attempted


def test_names_are_found_in_the_package() -> None:
    others = "eoi_mask erk_densities kumar_std maxout_constant stability_slope fit_rational Rational poincare_linear"
    for name in [*RULES, *others.split()]:
        assert callable(getattr(inits, name)), name
    assert inits.zero_ is zero_
    with pytest.raises(AttributeError, match="has no attribute 'zeros_'"):
        inits.zeros_  # noqa: B018
