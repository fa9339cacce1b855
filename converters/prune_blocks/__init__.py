"""Block pruning: whole residual blocks or layers that a model can do without are taken out."""
