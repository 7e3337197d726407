"""What a reservation does outside its workflow: frames to its charger, look-ups, deliveries."""
