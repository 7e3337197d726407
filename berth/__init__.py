"""What all of Berth stands on: its settings, its database, its ways to Temporal and to who watches it."""

__version__ = "0.1.0"
