"""Tests of `converters.student`."""
