"""Prompts into clauses: separators, strengths, and what is kept whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightgen.diffusion.captions import caption
from weightgen.diffusion.concepts import Clause
from weightgen.diffusion.edits import EDITS
from weightgen.diffusion.prompt import MOST_CHARACTERS, MOST_CLAUSES, STRENGTH_WORDS, USUAL, Phrase, parse
from weightgen.errors import UsageError


def said(prompt: str, *names: str) -> list[tuple[str, float]]:
    return [(p.text, p.strength) for p in parse(prompt, names)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("sepia tone", [("sepia tone", USUAL)]),
        ("a faded warm photograph, strength 0.7", [("faded warm photograph", 0.7)]),
        ("Strong Sepia and a subtle blur", [("sepia", 1.0), ("blur", 0.35)]),
        (
            "make it a pencil sketch at 40 percent, then oil painting 30%",
            [("pencil sketch", 0.4), ("oil painting", 0.3)],
        ),
        ("a photo with a touch of grain", [("grain", 0.35)]),
        ("sepia with strength 0.35 + emboss", [("sepia", 0.35), ("emboss", USUAL)]),
        ("make the photo look like a pencil sketch, strong", [("pencil sketch", 1.0)]),
        ("strength 0.9, sepia", [("sepia", 0.9)]),
        ("sepia at full strength; vignette at half strength", [("sepia", 1.0), ("vignette", 0.5)]),
        (".25 sepia.", [("sepia", 0.25)]),
        ("70 % of sepia plus blur at .5", [("sepia", 0.7), ("blur", 0.5)]),
        ("strong sepia at 0,2", [("sepia", 0.2)]),  # a number says more than a word
        ("heavily posterised & slightly blurred", [("posterised", 1.0), ("blurred", 0.35)]),
        ("posterise to 4 levels", [("posterise to 4 levels", USUAL)]),
        ("1970s film, 8.5 stops", [("1970s film", USUAL), ("8.5 stops", USUAL)]),
        ("a photo", [("photo", USUAL)]),
        (" , . ", []),
        ("", []),
    ],
)
def test_what_prompts_say(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert said(prompt) == expected


def test_expressions_are_kept_whole() -> None:
    assert said("black and white then pen-and-ink outlines") == [
        ("black and white", 0.7),
        ("pen-and-ink outlines", 0.7),
    ]
    assert said("drawn with chalk and heavy metal") == [("drawn", 0.7), ("chalk", 0.7), ("metal", 1.0)]
    names = "Drawn with chalk", "heavy metal"
    assert said("drawn with chalk and heavy metal", *names) == [("drawn with chalk", 0.7), ("heavy metal", 0.7)]
    assert said("strong heavy metal, 20 %", *names) == [("heavy metal", 0.2)]


@given(st.integers(0, 1 << 32), st.lists(st.sampled_from([*EDITS]), min_size=1, max_size=4), st.booleans())
def test_captions_are_read_as_they_were_meant(seed: int, operations: list[str], held_out: bool) -> None:
    draw = np.random.default_rng(seed)
    strengths = [draw.choice([0.35, 0.7, 1.0, round(draw.uniform(0.05, 1), 2)]) for _ in operations]
    clauses = [Clause(o, float(s)) for o, s in zip(operations, strengths, strict=True)]
    found = parse(caption(clauses, draw, held_out))
    assert [p.strength for p in found] == pytest.approx(strengths)
    for phrase, operation in zip(found, operations, strict=True):
        edit = EDITS[operation]
        assert phrase.text in {n.lower() for n in (edit.held_out if held_out else edit.known)}


@given(st.text(max_size=MOST_CHARACTERS))
def test_no_text_breaks_it(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    assert len(found) <= MOST_CLAUSES
    assert all(p.text == p.text.strip() != "" and 0 < p.strength <= 1 for p in found)


def test_words_of_strength_are_read_before_and_after() -> None:
    for word, strength in STRENGTH_WORDS.items():
        assert parse(f"a {word} vignette") == [Phrase("vignette", strength)], word
        if not word.endswith(" of"):
            assert parse(f"blur, vignette, {word}") == [Phrase("blur", USUAL), Phrase("vignette", strength)], word


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("sepia, strength 70", "'strength 70': expected a strength above 0 and up to 1, or up to 100 %"),
        ("sepia at 150 %", "'at 150 %': expected a strength"),
        ("sepia 0%", "'0%': expected a strength"),
        ("red, green, blue, cyan, pink", "5 clauses, at most 4 are understood: 'red', 'green'"),
        ("x" * 401, "401 characters, at most 400 are read"),
    ],
)
def test_what_cannot_be_read_is_refused(prompt: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(prompt)
    assert words in str(refused.value)
