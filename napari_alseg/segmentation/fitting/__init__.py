"""How a network learns: batches, losses, objectives and the run."""
