"""Figures in one look, and the self-contained HTML page of a run."""
