"""Timed loops and what a process used meanwhile."""
