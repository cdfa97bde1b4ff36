"""What takes long, in one table: `table.TASKS`."""
