"""Messages held against tools that are not ours: a validator, a browser, Twilio's calculator."""
