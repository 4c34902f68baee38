"""What a source has stored: its cursors, its tables, and what past runs left behind."""
