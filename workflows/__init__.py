"""Durable stories, one file per business act."""
