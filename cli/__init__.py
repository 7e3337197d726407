"""The command `berth`: what people type, and `berth up`, which runs everything on one machine."""
