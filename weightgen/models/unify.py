"""Unknown axes and what is learnt about them: two dimensions that meet in an operation must be the same.

An expression is a concatenation of products of nodes. Nodes are unified as in type inference: a node may turn out
to be another node, a product (heads x channels) or a concatenation (packed halves). What cannot be
reconciled becomes fixed, which is always safe: a fixed axis is never permuted nor cut.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Node:
    """An axis of unknown nature; `parts` is what it was found to consist of."""

    __slots__ = ("fixed", "output", "parts", "size", "whole")

    def __init__(self, size: int, fixed: bool = False) -> None:
        self.size = size
        self.fixed = fixed
        self.output = False
        self.parts: Expression | None = None
        self.whole: Node | None = None
        """A fixed stand-in, where the parts cannot be written inside a product."""


Expression = tuple[tuple[Node, ...], ...]


class Split(NamedTuple):
    """An expression divided into a slow and a fast factor."""

    slow: Expression
    fast: Expression


class Irreconcilable(Exception):
    """Two expressions that cannot be made equal."""


def axis(size: int, fixed: bool = False) -> Expression:
    """Return an expression of one new node; nothing for a dimension of size 1."""
    return ((Node(size, fixed),),) if size != 1 else ((),)


def size_of(expression: Expression) -> int:
    """Number of entries."""
    return sum(math.prod(node.size for node in term) for term in expression)


def resolve(expression: Expression) -> Expression:
    """Replace every node by what it was found to be."""
    if all(node.parts is None for term in expression for node in term):
        return expression
    terms: list[tuple[Node, ...]] = []
    for term in expression:
        found: list[tuple[Node, ...]] = [()]
        for node in term:
            parts = ((node,),) if node.parts is None else resolve(node.parts)
            if len(parts) > 1 and found != [()]:
                # A concatenation inside a product: (a (b+c)) has no form here.
                parts = ((_stand_in(node),),)
            found = [left + right for left in found for right in parts]
        terms += found
    return tuple(terms)


def _stand_in(node: Node) -> Node:
    fix(((node,),))
    if node.whole is None:
        node.whole = Node(node.size, fixed=True)
    return node.whole


def fix(expression: Expression) -> None:
    """Mark all axes of an expression as fixed."""
    for term in resolve(expression):
        for node in term:
            node.fixed = True


def mark_output(expression: Expression) -> None:
    """Mark all axes of an expression as the network's outputs."""
    for term in resolve(expression):
        for node in term:
            node.fixed = node.output = True


def _become(node: Node, parts: Expression) -> None:
    for term in parts:
        for part in term:
            part.fixed = part.fixed or node.fixed
            part.output = part.output or node.output
    node.parts = parts


def unify(a: Expression, b: Expression) -> Expression:
    """Make two expressions of one size equal; where that is impossible, both become fixed."""
    if a == b:
        return a
    try:
        _unify(a, b)
    except Irreconcilable:
        fix(a)
        fix(b)
    return resolve(a)


def _unify(a: Expression, b: Expression) -> None:
    if size_of(a) != size_of(b):
        raise Irreconcilable
    while True:
        a, b = resolve(a), resolve(b)
        i = next((i for i, (s, t) in enumerate(zip(a, b, strict=False)) if s != t), None)
        if i is None:
            return
        first, second = size_of((a[i],)), size_of((b[i],))
        if first == second:
            _unify_terms(a[i], b[i])
        else:
            longer, offset = (a[i], second) if first > second else (b[i], first)
            _cut_term(longer, offset)


def _unify_terms(a: tuple[Node, ...], b: tuple[Node, ...]) -> None:
    """Make one step towards the equality of two different products of one size."""
    single = next((node for node in (*a, *b) if node.size == 1), None)
    if single is not None:
        single.parts = ((),)
        return
    m, n = next((m, n) for m, n in zip(a, b, strict=False) if m is not n)
    if m.size == n.size:
        _become(m, ((n,),))
        return
    large, small = (m, n) if m.size > n.size else (n, m)
    if large.size % small.size:
        raise Irreconcilable
    _become(large, ((small, Node(large.size // small.size)),))


def _cut_term(term: tuple[Node, ...], offset: int) -> None:
    """Split the slowest node of a product into two, so that the first part holds `offset` entries."""
    stride = math.prod(node.size for node in term[1:])
    if not term or offset % stride:
        raise Irreconcilable
    _become(term[0], ((Node(offset // stride),), (Node(term[0].size - offset // stride),)))


def cut(expression: Expression, start: int, stop: int) -> Expression:
    """Return the entries from `start` to `stop`."""
    try:
        for boundary in (start, stop):
            while True:
                expression = resolve(expression)
                position = 0
                for term in expression:
                    size = size_of((term,))
                    if position < boundary < position + size:
                        _cut_term(term, boundary - position)
                        break
                    position += size
                else:
                    break
    except Irreconcilable:
        fix(expression)
        return axis(stop - start, fixed=True)
    kept, position = [], 0
    for term in expression:
        if start <= position < stop:
            kept.append(term)
        position += size_of((term,))
    return tuple(kept)


def product(factors: list[Expression]) -> Expression:
    """Return the dimension that several dimensions make when flattened together."""
    result: Expression = ((),)
    for factor in map(resolve, factors):
        if len(factor) > 1 and result != ((),):
            fix(factor)
            factor = axis(size_of(factor), fixed=True)
        result = tuple(left + right for left in result for right in factor)
    return result


def split(expression: Expression, fast: int) -> Split:
    """Divide a dimension into (slow, fast) factors, the second of the given size."""
    try:
        lefts, rights = [], []
        for i in range(len(resolve(expression))):
            while True:
                term = resolve(expression)[i]
                rest, position = fast, len(term)
                while position and rest > 1 and rest % term[position - 1].size == 0:
                    position -= 1
                    rest //= term[position].size
                if rest == 1:
                    break
                if not position or term[position - 1].size % rest:
                    raise Irreconcilable
                node = term[position - 1]
                _become(node, ((Node(node.size // rest), Node(rest)),))
            lefts.append(term[:position])
            rights.append((term[position:],))
        for other in rights[1:]:
            _unify(rights[0], other)
        return Split(resolve(tuple(lefts)), resolve(rights[0]))
    except (Irreconcilable, IndexError):
        fix(expression)
        return Split(axis(size_of(expression) // fast, fixed=True), axis(fast, fixed=True))
