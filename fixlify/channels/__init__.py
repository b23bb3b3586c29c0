"""Ways to reach a person: one protocol, one module per provider."""
