"""Repeatable measurements; each prints what it found and judges nothing."""
