"""What every measurement stands on: a stack, companies, business writes, and figures."""
