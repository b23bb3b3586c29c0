"""Frozen models, enums, ids and errors; pure, no I/O."""
