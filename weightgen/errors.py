"""The error tree: every error a user can cause carries the exit code of the process."""

from __future__ import annotations

import re
import sys


class WeightgenError(Exception):
    """Something the user can act on; printed without a traceback."""

    exit_code = 2


class UsageError(WeightgenError):
    """A command line, name or recipe that cannot be carried out (exit 2)."""

    exit_code = 2


class CheckError(WeightgenError):
    """A check that was asked for says no (exit 1)."""

    exit_code = 1


class InputError(WeightgenError):
    """A file that is missing, broken or unsafe (exit 3)."""

    exit_code = 3


class NetworkError(WeightgenError):
    """A repository that could not be reached (exit 4)."""

    exit_code = 4


class Fault(WeightgenError):
    """A mistake in weightgen itself (exit 70)."""

    exit_code = 70


class CoverageError(UsageError):
    """A parameter that the axis table of its family does not cover, or contradicts."""


class Remark(UserWarning):
    """What was left out of a user's data, or guessed about it: a note at the terminal, a warning in Python."""


def printable(text: str, limit: int = 120) -> str:
    """Return `text` safe for a terminal: names from files may hold control characters."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def printable_lines(text: object) -> object:
    """Return a text of several lines safe for a page, and anything that is no plain text as it is."""
    parts = re.split("([\n\xa0])", text) if type(text) is str else None  # a space that does not break is seen
    return text if parts is None else "".join(p if p in ("\n", "\xa0") else printable(p, sys.maxsize) for p in parts)


def did_you_mean(word: str, known: list[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest known word, or an empty string."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
