"""Files on the board: durable, by digest."""
