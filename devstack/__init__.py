"""Everything the engine needs, embedded: Postgres, Temporal, a mailbox and a phone."""
