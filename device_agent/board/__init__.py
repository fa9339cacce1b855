"""What a board is and does now, read from /proc and /sys."""
