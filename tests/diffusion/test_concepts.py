"""Concepts: which are trained, which held out and how, and what captions say of them."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest

from weightgen.diffusion.captions import captions
from weightgen.diffusion.concepts import Clause, Concept, from_json, to_json
from weightgen.diffusion.domain import BETWEEN, LARGEST, NEW, STRENGTHS, domain
from weightgen.diffusion.edits import EDITS
from weightgen.diffusion.prompt import parse
from weightgen.errors import InputError, UsageError

DOMAIN = domain(LARGEST)
OPERATION = {name: edit.name for edit in EDITS.values() for name in edit.names}
KNOWN = {name for edit in EDITS.values() for name in edit.known}
HELD_OUT = {name for edit in EDITS.values() for name in edit.held_out}


def of(split: str, concepts: tuple[Concept, ...] = DOMAIN) -> list[Concept]:
    return [c for c in concepts if c.split == split]


def pairs(concepts: list[Concept]) -> set[frozenset[str]]:
    return {frozenset(clause.operation for clause in c.clauses) for c in concepts if len(c.clauses) == 2}


def test_sizes_of_the_splits() -> None:
    assert len(of("train")) == 512
    assert len(of("train", domain())) >= 300
    assert [len(of(s)) for s in ("paraphrase", "strength", "composition", "operation")] == [16, 16, 16, 8]
    assert len({c.name for c in DOMAIN}) == len(DOMAIN)


def test_nothing_held_out_is_trained() -> None:
    train = of("train")
    trained = {clause for c in train for clause in c.clauses}
    operations = {clause.operation for clause in trained}
    assert not operations & set(NEW)
    assert {clause.strength for clause in trained} == set(STRENGTHS)
    assert not {c.clauses for c in train} & {c.clauses for c in DOMAIN if c.split not in ("train", "paraphrase")}

    for concept in of("strength"):
        (clause,) = concept.clauses
        assert clause.operation in operations
        assert clause.strength in BETWEEN
        assert clause.strength not in STRENGTHS
        assert min(STRENGTHS) < clause.strength < max(STRENGTHS)
    assert not pairs(of("composition")) & pairs(train)
    assert len(pairs(of("composition"))) == 16
    assert all({clause.operation for clause in c.clauses} <= operations for c in of("composition"))
    assert {c.clauses[0].operation for c in of("operation")} == set(NEW)
    assert {c.clauses for c in of("paraphrase")} <= {c.clauses for c in train}


def test_smaller_domains_are_the_beginning_of_larger_ones() -> None:
    for count in (1, 32, 64, 300):
        small = domain(count)
        assert of("train", small) == of("train")[:count]
        assert [c for c in small if c.split != "train"][-40:] == list(DOMAIN)[-40:]
        assert {c.clauses for c in of("paraphrase", small)} <= {c.clauses for c in of("train", small)}
    first = of("train")[: len(EDITS) - len(NEW)]
    assert {c.clauses[0].operation for c in first} == set(EDITS) - set(NEW)
    assert domain(64, seed=1) != domain(64)


def test_captions_say_what_the_clauses_are() -> None:
    """The parser of prompts is the judge: strengths in words and numbers, names with "and" in them, two clauses."""
    assert all(len(c.captions) == len(set(c.captions)) == 8 for c in DOMAIN)
    for concept in (*DOMAIN[::13], *DOMAIN[LARGEST::5]):
        wanted = [(clause.operation, clause.strength) for clause in concept.clauses]
        for caption in concept.captions:
            found = [(OPERATION.get(p.text), p.strength) for p in parse(caption, KNOWN)]
            assert found == wanted, caption


def test_names_of_the_paraphrase_split_are_never_trained() -> None:
    assert all(len(edit.names) >= 10 and len(edit.held_out) == 3 for edit in EDITS.values())
    assert len(OPERATION) == sum(len(edit.names) for edit in EDITS.values())  # no name means two things
    assert all(name == name.lower() for name in OPERATION)

    def said(split: str) -> set[str]:
        return {p.text for c in of(split)[:20] for caption in c.captions for p in parse(caption, KNOWN)}

    assert not said("train") & HELD_OUT
    assert said("paraphrase") <= HELD_OUT
    assert said("strength") | said("composition") <= KNOWN


def test_words_of_strength_are_used_for_the_strengths_that_they_mean() -> None:
    generator = np.random.default_rng(0)
    subtle = captions([Clause("blur", 0.35)], 60, generator)
    odd = captions([Clause("blur", 0.4)], 60, generator)
    assert any("subtle" in c for c in subtle)
    assert any("35" in c for c in subtle)
    assert not any(word in c for c in odd for word in ("subtle", "slight", "strong", "heavy"))
    assert all("0.4" in c or "40" in c for c in odd)


def test_json_there_and_back() -> None:
    text = json.dumps(to_json(DOMAIN[:20]))
    assert from_json(json.loads(text), "x.json") == DOMAIN[:20]
    broken = json.loads(text)
    broken[3]["clauses"][0]["strenght"] = 1
    with pytest.raises(InputError, match=r"x\.json: 3\.clauses\.0\.strenght: unexpected"):
        from_json(broken, "x.json")
    broken = json.loads(text)
    broken[0]["split"] = "test"
    with pytest.raises(InputError, match=r"x\.json: 0\.split: input should be 'train', 'paraphrase'"):
        from_json(broken, "x.json")
    with pytest.raises(InputError, match=f"x.json: two concepts are called '{DOMAIN[0].name}'"):
        from_json(list(chain(json.loads(text), json.loads(text)[:1])), "x.json")


def test_sizes_that_there_are_not() -> None:
    with pytest.raises(UsageError, match="concepts: expected 1 to 512 to train, found 513"):
        domain(513)
    with pytest.raises(UsageError, match="held-out concepts: expected 0 to 32 of each split, found 33"):
        domain(40, 33)
