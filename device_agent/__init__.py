"""The program that runs on the board: Python 3.7 or newer, standard library only."""
