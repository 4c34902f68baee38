"""Sources run in processes of their own: this side of them, the other, and how they begin quickly."""
