"""Tables in, tables or frozen results out. No disk, no plotting, no other layer."""
