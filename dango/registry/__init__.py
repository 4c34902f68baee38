"""Registry entries: what one says, where they come from, what is wrong with one."""
