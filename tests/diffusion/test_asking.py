"""How training asks for concepts: names, strengths and pairs drawn anew, and what is never asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from weightgen.diffusion.asking import NEXT, WEAKEST, Asking, phrases_of
from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.domain import BETWEEN, domain
from weightgen.diffusion.edits import EDITS

COMBINED = Concept("sepia-70+blur-35", (Clause("sepia", 0.7), Clause("blur", 0.35)), ("sepia, then subtle blur",))


def test_strengths_are_drawn_anew_and_asked_for() -> None:
    generator = np.random.default_rng(0)
    kept = Asking().ask(COMBINED, generator)
    assert kept.is_collected
    assert kept.concept == COMBINED
    assert [p.strength for p in kept.phrases] == [0.7, 0.35]
    drawn = [Asking(fresh=1.0).ask(COMBINED, generator) for _ in range(50)]
    assert not any(a.is_collected for a in drawn)
    for asked in drawn:
        assert [c.operation for c in asked.concept.clauses] == ["sepia", "blur"]
        assert [c.strength for c in asked.concept.clauses] == [p.strength for p in asked.phrases]
        assert all(WEAKEST <= p.strength <= 1 for p in asked.phrases)
        assert asked.phrases[0].text in EDITS["sepia"].known
    assert len({a.phrases[0].strength for a in drawn}) == 50
    shown = replace(COMBINED, clauses=())
    assert [p.text for p in Asking(fresh=1.0, mixed=1.0).ask(shown, generator).phrases] == ["sepia", "blur"]
    known = {*phrases_of([COMBINED])}
    assert known >= {*EDITS["sepia"].known, *EDITS["blur"].known, "blur"}
    assert not known & {*EDITS["sepia"].held_out}


def test_held_out_strengths_are_never_drawn() -> None:
    generator = np.random.default_rng(0)
    drawn = [c.strength for _ in range(2000) for c in Asking(fresh=1.0).ask(COMBINED, generator).concept.clauses]
    assert min(abs(strength - held_out) for strength in drawn for held_out in BETWEEN) > NEXT
    assert min(drawn) < WEAKEST + 0.01
    assert max(drawn) > 0.99


def test_pairs_are_drawn_anew_in_both_orders_but_none_that_is_held_out() -> None:
    concepts = domain(64, 16)
    learned = [c for c in concepts if c.split == "train"]
    others = [c for c in concepts if c.split != "train"]
    asking = Asking.of(learned, others, fresh=0.0, mixed=1.0)
    generator = np.random.default_rng(0)
    drawn = [asking.ask(learned[0], generator) for _ in range(3000)]
    assert not any(asked.is_collected for asked in drawn)
    pairs = [tuple(c.operation for c in asked.concept.clauses) for asked in drawn]
    held_out = {frozenset(c.operation for c in o.clauses) for o in others if o.split == "composition"}
    assert len(held_out) == 16
    assert not held_out & {frozenset(pair) for pair in pairs}
    assert not {name for pair in pairs for name in pair} & {c.operation for o in others[-8:] for c in o.clauses}
    assert any(pair[::-1] in pairs for pair in pairs)
    assert all(len(set(pair)) == 2 for pair in pairs)
    for asked in drawn[:20]:
        for clause, phrase in zip(asked.concept.clauses, asked.phrases, strict=True):
            assert phrase.text in EDITS[clause.operation].known
            assert phrase.strength == clause.strength


def test_where_no_pair_is_left_none_is_drawn() -> None:
    other = Concept("blur-35+sepia-70", COMBINED.clauses[::-1], (), "composition")
    for learned, others in (([COMBINED], [other]), ([Concept("sepia-70", COMBINED.clauses[:1], ())], [])):
        asking = Asking.of(learned, others, fresh=0.0, mixed=1.0)
        assert asking.ask(learned[0], np.random.default_rng(0)).concept == learned[0]
