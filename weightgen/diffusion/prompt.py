"""A prompt is read into clauses: what to do, in the user's words, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from weightgen.errors import UsageError, printable

MOST_CLAUSES = 4
MOST_CHARACTERS = 400
USUAL = 0.7
"""The strength of a clause that does not say one."""
STRENGTH_WORDS: dict[str, float] = {
    **dict.fromkeys(("subtle", "slight", "mild", "gentle", "faint", "weak"), 0.35),
    **dict.fromkeys(("subtly", "slightly", "mildly", "gently", "faintly", "weakly", "lightly"), 0.35),
    **dict.fromkeys(("touch of", "hint of", "bit of"), 0.35),
    **dict.fromkeys(("moderate", "moderately", "medium strength", "half strength"), 0.5),
    **dict.fromkeys(("strong", "heavy", "intense", "extreme", "full strength"), 1.0),
    **dict.fromkeys(("strongly", "heavily", "intensely", "extremely", "fully", "completely"), 1.0),
}
"""What words before or after a phrase say of its strength. Those that name effects ("soft", "light") are not here."""
KEPT_WHOLE = ("black and white", "pen and ink", "ink and wash", "salt and pepper", "light and shadow")
"""Expressions whose "and" separates nothing."""

_SEPARATOR = re.compile(r"\s*(?:[,;+&]|(?<![\w-])(?:and|then|with|plus)(?![\w-]))\s*")
_WORDS = "|".join(re.escape(w) for w in sorted(STRENGTH_WORDS, key=len, reverse=True))
_BEFORE = re.compile(rf"(?:very |quite )?({_WORDS})(?: (?:strength|intensity))?(?: of)?\b")
_AFTER = re.compile(rf"(?:\b(?:at|in) )?(?:\bvery |\bquite )?\b({_WORDS})(?: (?:strength|intensity))?$")
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_AMOUNT = r"(?:strength|intensity|amount)"
_PERCENT = r"(%|per ?cent\b)"
_NUMERIC = re.compile(
    rf"(?:\b(?:at|of|by) )?(?:\ba )?\b{_AMOUNT}(?: of| is| at)?\s*[:=]?\s*{_NUMBER}\s*{_PERCENT}?"
    rf"|(?:\b(?:at|by) )?{_NUMBER}\s*{_PERCENT}(?: {_AMOUNT}\b)?(?: of\b)?"
    rf"|(?:\b(?:at|by) )?(?<![\w.])([01]?\.\d+)(?![\w.])(?: {_AMOUNT}\b)?"
)
_PICTURE = r"(?:photo|photograph|picture|image)"
_OPENING = re.compile(
    r"(?:(?:please|make|turn|give|apply|add|render|show|convert|edit|a|an|the|some|it|this|that|my|me"
    r"|into|to|as|in|like|of|look|looking|looks)\b"
    rf"|{_PICTURE}\b(?= (?:of|in|as|into|to|like|look|looks|looking|turned)\b))\s*"
)


@dataclass(frozen=True)
class Phrase:
    """One clause of a prompt."""

    text: str
    """In lower case, without opening words ("make it a ...") and without what said the strength."""
    strength: float
    """In (0, 1]."""


def parse(prompt: str, names: Iterable[str] = ()) -> list[Phrase]:
    """Return the clauses of a prompt in their order; an empty prompt has none.

    Clauses are separated by "and", "then", "with", "plus", commas and the like. Strengths are numbers ("strength 0.7",
    "at 70 %", "0.7") or words (`STRENGTH_WORDS`); one that stands alone belongs to the clause before it. `names` that
    are known are kept whole. Raises UsageError for a prompt that is too long and a strength outside (0, 1].
    """
    if len(prompt) > MOST_CHARACTERS:
        raise UsageError(f"prompt: {len(prompt)} characters, at most {MOST_CHARACTERS} are read. Say it shorter.")
    whole = _guarded(names)
    text = re.sub(r"(?<=\d),(?=\d)", ".", " ".join(prompt.lower().split()))  # 0,7 is a number, too
    for mark, name in whole.items():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", mark, text)
    found: list[Phrase] = []
    waiting: float | None = None
    for part in _SEPARATOR.split(text):
        words, strength = _strength(part.rstrip(".").strip(" !?'\""))
        for mark, name in whole.items():
            words = words.replace(mark, name)
        if words:
            found.append(Phrase(words, strength or waiting or USUAL))
            waiting = None
        elif strength is not None and found:
            found[-1] = Phrase(found[-1].text, strength)
        elif strength is not None:
            waiting = strength
    # "A photograph with sepia tone" asks for one thing.
    said = [p for p in found if not re.fullmatch(_PICTURE, p.text)] or found
    if len(said) > MOST_CLAUSES:
        raise UsageError(
            f"prompt: {len(said)} clauses, at most {MOST_CLAUSES} are understood: "
            f"{printable(', '.join(repr(p.text) for p in said))}"
        )
    return said


def _guarded(names: Iterable[str]) -> dict[str, str]:
    """Return a mark for each expression that splitting or looking for strengths would break, the longest first."""
    broken = {n for n in (" ".join(name.lower().split()) for name in names) if _breaks(n)}
    ordered = sorted({*KEPT_WHOLE, *broken}, key=lambda n: (-len(n), n))
    return {chr(0xE000 + i): name for i, name in enumerate(ordered)}  # characters of private use


def _breaks(name: str) -> bool:
    return bool(_SEPARATOR.search(name)) or _strength(name) != (name, None)


def _strength(part: str) -> tuple[str, float | None]:
    """Return what a clause says to do, and the strength that it says, if any: a number counts more than a word."""
    number: float | None = None
    match = _NUMERIC.search(part)
    if match is not None:
        number = _value(match)
        part = " ".join((part[: match.start()] + " " + part[match.end() :]).split())
    word: float | None = None
    while True:
        before = part
        part = _OPENING.sub("", part, count=1) if _OPENING.match(part) else part
        match = _BEFORE.match(part)
        if match is not None:
            word = STRENGTH_WORDS[match[1]]
            part = part[match.end() :].strip()
        if part == before:
            break
    match = _AFTER.search(part)
    if match is not None:
        word = STRENGTH_WORDS[match[1]]
        part = part[: match.start()].strip()
    return part, word if number is None else number


def _value(match: re.Match[str]) -> float:
    named, percent, other, sign, bare = match.groups()
    value = float(named or other or bare)
    if percent or sign:
        value /= 100
    if not 0 < value <= 1:
        raise UsageError(
            f"prompt: '{printable(match[0].strip())}': expected a strength above 0 and up to 1, or up to 100 %"
        )
    return value
