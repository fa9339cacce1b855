"""Ways to handle what a model keeps from one inference to the next, before each sample.

A recurrent layer of a .tflite keeps variable tensors, a streaming model keeps resource variables.
Where samples have nothing to do with each other, each begins with the state of a fresh model.
"""

from __future__ import annotations

#: Keep the state: the samples are the steps of one stream, or the model has no state.
KEEP = "keep"

#: Clear all variable tensors, which takes about a microsecond.
RESET = "reset"

#: Open the model anew: a runtime sets resource variables only once, when the model first runs.
RELOAD = "reload"

WAYS = (KEEP, RESET, RELOAD)
