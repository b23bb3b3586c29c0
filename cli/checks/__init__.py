"""What ``fixlify doctor`` looks at; one module per thing it asks."""
