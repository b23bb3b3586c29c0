"""The composition root: settings become pools, channels, activities and Temporal workers."""
