"""The releases of a board: which ones it accepts, tries and keeps, and how it goes back."""
