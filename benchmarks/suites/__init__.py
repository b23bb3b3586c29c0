"""The parts of the benchmark that measure our own engine."""
