"""What takes long: ask, look, learn, follow. One table, `table.TASKS`."""
