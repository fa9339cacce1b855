"""What may be said about figures: statistics, verdicts, parity. Pure."""
