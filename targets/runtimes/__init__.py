"""The runtimes that boards can load, and which one is chosen."""
