"""Board profiles: one TOML file for each kind of board (see `targets.board_profile`)."""
