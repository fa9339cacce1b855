"""The way to a board over SSH; the only paramiko."""
