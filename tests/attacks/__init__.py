"""Builders of hostile and broken files, each with the wording that must refuse it."""
