"""The fixlify command."""
