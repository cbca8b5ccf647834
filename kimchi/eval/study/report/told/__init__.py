"""Sentences of the report that depend on what was found, in both languages."""
