"""A program of its own, run in the environments of other frameworks; see `__main__`. Nothing of dango imports it."""
