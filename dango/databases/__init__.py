"""Tables of databases, read as Arrow where that gives what reading them as dicts gives."""
