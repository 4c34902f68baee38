"""Sources that dango ships: each is a plain dlt source, and runs as any other does."""
