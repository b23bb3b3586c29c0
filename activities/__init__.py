"""Side effects, one class per capability."""
