"""The heads that transformers puts on a decoder."""

from __future__ import annotations

HEADS = {
    "lm_head.{weight,bias}": "vocab <- embed",
    "{score,classifier}.{weight,bias}": "classes <- embed",
    "qa_outputs.{weight,bias}": "two <- embed",
}
