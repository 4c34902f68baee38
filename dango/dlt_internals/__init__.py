"""The names of dlt that are not its documented public API: all of them, one subject a file."""
