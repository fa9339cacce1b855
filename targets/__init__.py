"""The way to a board: who there is, what it is, and how to reach it."""
