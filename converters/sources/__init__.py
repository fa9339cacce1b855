"""Kinds of model that may be given: how each is recognised and loaded."""
