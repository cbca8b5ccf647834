"""Figures of a study's report, drawn by short functions: no plotting library, no fonts to install."""
