"""How fast dango is, measured beside what else does the same: `make bench`, docs/PERFORMANCE.md."""
