"""Worked examples, run as their READMEs say."""
