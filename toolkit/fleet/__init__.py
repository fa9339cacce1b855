"""Rollouts of releases to fleets: plan and decisions (pure), journal (SQLite), acts."""
