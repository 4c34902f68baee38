"""This project's own dlt sources: one file (or package) each, found by its name in `source_module`."""
