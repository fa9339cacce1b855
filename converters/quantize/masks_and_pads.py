"""Numbers near minus infinity in a float .tflite, and the same model without them.

A mask of attention puts -1e9 and the like in the place of scores that softmax is to ignore, and
models from PyTorch pad with minus infinity before max-pooling. One such number leaves a range of 8
or 16 bits no step for all other numbers.
"""

from __future__ import annotations
