"""Brokers, streams, document stores, feeds and mailboxes, each read by its own client library."""
