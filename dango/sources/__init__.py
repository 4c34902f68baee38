"""From a source's configuration to a dlt source: names to functions, values to arguments, and what they are."""
