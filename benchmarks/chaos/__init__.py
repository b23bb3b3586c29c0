"""A stream of business writes, a monkey that breaks everything under it, and the reckoning."""
