"""A sync on the machines of a Ray cluster: `driver` is this side of it, `node` the other.

The project travels as a `bundle`, made by an allow-list; a source's secrets travel as an argument of its own task.
"""

AUTO = "auto"
"""The cluster of which this machine is a node, or that the variable RAY_ADDRESS names."""
SCHEME = "ray://"
"""How the address of another one begins."""
