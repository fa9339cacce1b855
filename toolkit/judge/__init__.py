"""What may be said about figures, decided without I/O: statistics, verdicts, parity."""
