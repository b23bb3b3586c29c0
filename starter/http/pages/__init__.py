"""Pages for people: nothing in them comes from elsewhere, and nothing in them runs."""
