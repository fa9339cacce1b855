"""How a soak is ended early: by a file that appears in its folder."""

#: The name of the file.
STOP = "stop"
