"""A model on its way through a recipe: the draft, and the files written from it."""
