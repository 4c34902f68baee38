"""That this file is here lets `pytest` find `custom_sources` under the name that `dango sync` gives it."""
