"""Connectors of other frameworks: programs of their own, whose lines become a dlt source's rows."""
