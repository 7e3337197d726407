"""Events on their way to receivers: outbox, dispatcher, signed requests, presence of chargers."""
