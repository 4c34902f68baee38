"""One job through dlt, from a destination that may hold anything to one that holds the rows, all or none."""
