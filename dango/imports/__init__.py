"""Files of other tools, read as sources of dango's; what cannot be carried over is named, key by key."""
