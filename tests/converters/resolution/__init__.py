"""Tests of `converters.resolution`."""
