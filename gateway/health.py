"""/health: what probes ask a gateway, as plain HTTP on the port of its chargers."""

from datetime import timedelta

LIVE, READY = "/health/live", "/health/ready"
"""The same paths as the API's. Ready says whether a charger that connects now may be let in."""

DATABASE_WITHIN = timedelta(seconds=2)
"""It can be asked about chargers then; Temporal may be away, and chargers are served all the same."""
