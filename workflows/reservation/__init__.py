"""One reservation: a state machine in plain Python, and the Temporal workflow around it."""
