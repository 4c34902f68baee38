"""What is written in `sources.yml` and how it is read: models, YAML with places, edits that keep comments."""
