"""Judging pictures: intervals, scores by the recogniser, and reports."""
