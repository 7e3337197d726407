"""Writes the tables of the documentation from the code; nothing of it is shipped."""
