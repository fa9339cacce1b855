"""The run of a conversion: its pipeline, its steps, its budget, its estimate."""
