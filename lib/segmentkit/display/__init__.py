"""Results in, figures and tables to read out. Never shows, never saves."""
