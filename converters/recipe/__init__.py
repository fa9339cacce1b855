"""Recipes as data: steps, their fields, and what may follow what."""
