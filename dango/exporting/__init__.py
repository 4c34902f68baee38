"""A project taken elsewhere: what it needs there, and the files by which it runs. Each kind is a module."""
