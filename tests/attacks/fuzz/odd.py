"""Values where others are expected, and changes of plain data, of numbers in texts, and of words of a command line."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 0.5, -0.0, 1e-30, 1e308, -1e308, 2**31, 2**63, -(2**63) - 1, 10**30, True,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "a", "x" * 5000, "\0", "a\0b", "\ud800", "\x1b[2J", "\u202e", "é", "../outside", "/dev/null",
    "-", "nan", "1e999", "{}", "[]", "None", "null", "true", "12", "3.5",
    "a\nb", "%s{0}", "timm:resnet18",
    "hf:a/b", "package:weightgen", ":", "=", ",", "a=b", "0,1", "random",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, [], {}, [[]], {"": 0}, [None], {"a": {"b": [1]}}, [1, "a"], False)
RAW = ("NaN", "-Infinity", "1e999", "9" * 5000, "[" * 3000, '"\\ud800"', '{"a":1,"a":2}', "01", "'", "\x00", "nul")
YAML_TEXTS = (
    "!!python/object/apply:os.getcwd []", "2024-13-45", "&a [*a]", "*nothing", "? [a]", "!!binary '%%'", "<<: 3", "\t-",
    "0x", "!!float a", "!!timestamp b", "{a: [", "| \n a", "---\n--- b", ".nan", "1_0", "0o9", "!!set {a, b}",
)  # fmt: skip


def odd_value(draw: Random, old: Any) -> Any:
    """Return something else than `old`: a number near it, one of another size, or another type altogether."""
    number = isinstance(old, (int, float)) and not isinstance(old, bool)
    if number and draw.random() < 0.4:
        near = [old + 1, old - 1, -old, old * 2, old * 1000, old / 2, str(old), [old], float(old), old // 1]
        return draw.choice(near)
    if isinstance(old, list) and old and draw.random() < 0.4:
        return draw.choice([old[:-1], old + old[:1], old[::-1], old[0], [old], old * 50])
    if isinstance(old, str) and draw.random() < 0.4:
        return draw.choice([old[:-1], old + "x", old.upper(), [old], old * 100, old[::-1], {old: old}])
    return copy.deepcopy(draw.choice(draw.choice([NUMBERS, TEXTS, OTHERS])))


def places(value: Any, keep: frozenset[str] = frozenset()) -> Iterator[tuple[Any, Any]]:
    """Yield every container in plain data with each of its keys, but those to `keep`."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            if key not in keep:
                yield value, key
                yield from places(value[key], keep)


def change_data(draw: Random, data: Any, keep: frozenset[str] = frozenset()) -> Any:
    """Return plain data that was changed in one to three places."""
    data = copy.deepcopy(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        found = list(places(data, keep))
        if not found:
            return odd_value(draw, data)
        holder, key = draw.choice(found)
        what = draw.random()
        if what < 0.65:
            holder[key] = odd_value(draw, holder[key])
        elif what < 0.8:
            del holder[key]
        elif what < 0.9 and isinstance(holder, dict):
            holder[draw.choice([*TEXTS, str(key) + "s"])] = holder.pop(key) if draw.random() < 0.5 else holder[key]
        else:
            other, place = draw.choice(found)
            holder[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
    return data


def change_json(draw: Random, raw: bytes) -> bytes:
    """Return a JSON file with other values, or with what no JSON file should hold."""
    data = json.loads(raw)
    if draw.random() < 0.85:
        return json.dumps(change_data(draw, data)).encode()
    return _spoilt(draw, data, RAW, lambda value: json.dumps(value))


def change_yaml(draw: Random, raw: bytes, keep: frozenset[str]) -> bytes:
    """Return a YAML file with other values, or with what few YAML files hold."""
    data = yaml.safe_load(raw)
    if draw.random() < 0.85:
        text = yaml.safe_dump(change_data(draw, data, keep), sort_keys=False, allow_unicode=True)
        return text.encode("utf-8", "surrogatepass")
    return _spoilt(draw, data, YAML_TEXTS, lambda value: yaml.safe_dump(value, sort_keys=False))


def _spoilt(draw: Random, data: Any, texts: tuple[str, ...], dump: Any) -> bytes:
    """Put a text in the place of a value, which no library would write there."""
    mark = "PLACEOFIT"
    found = list(places(data))
    if found:
        holder, key = draw.choice(found)
        holder[key] = mark
    text: str = dump(data)
    return re.sub(f'"?{mark}"?', lambda _: draw.choice(texts), text).encode("utf-8", "surrogatepass")


def change_numbers(draw: Random, raw: bytes) -> bytes:
    """Return a text in which some numbers are others."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", raw))
    for match in sorted(draw.sample(found, min(len(found), draw.choice([1, 2, 20]))), key=lambda m: -m.start()):
        new = str(draw.choice(NUMBERS)).encode()
        raw = raw[: match.start()] + new + raw[match.end() :]
    return raw


def change_words(draw: Random, words: tuple[str, ...], keep: frozenset[str]) -> list[str]:
    """Return a command line in which some words, but not the command and what follows those to `keep`, are others."""
    found = list(words)
    for _ in range(draw.choice([1, 1, 2])):
        free = [i for i in range(1, len(found)) if found[i] not in keep and found[i - 1] not in keep]
        if not free:
            break
        at, what = draw.choice(free), draw.random()
        if what < 0.6:
            found[at] = _odd_word(draw, found[at])
        elif what < 0.75:
            del found[at]
        elif what < 0.9:
            found.insert(at, _odd_word(draw, found[at]))
        else:
            found.append(draw.choice(["--json", "--force", "--quiet", "--dry-run", "--print-recipe", "--no-such"]))
    return found


def _odd_word(draw: Random, word: str) -> str:
    if "=" in word and draw.random() < 0.6:
        pairs = word.split(",")
        at = draw.randrange(len(pairs))
        key = pairs[at].partition("=")[0]
        pairs[at] = f"{key}={draw.choice([*map(str, NUMBERS), *TEXTS, *YAML_TEXTS, str(OTHERS[3])])}"
        return ",".join(pairs)
    return str(draw.choice(draw.choice([NUMBERS, TEXTS])))
