"""`kedge demo`: the whole arrow on data and a board that every computer has."""
