"""The HTTP API: events from other programs, over ``starter.intake``."""
