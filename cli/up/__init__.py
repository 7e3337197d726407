"""`berth up`: the supervisor, the Temporal server it starts, what it shows."""
