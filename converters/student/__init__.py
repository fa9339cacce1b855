"""A new network in the place of the original: built from a grammar of blocks, to be distilled."""
