"""The project's own dlt sources, named by `source_module` in `.dango/sources.yml`."""
