"""What comes back from outside about messages: who it concerns, and what follows from it."""
