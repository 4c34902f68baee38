"""Text in, text out: where values stand in YAML and TOML, and how a person would write them. No file is touched."""
