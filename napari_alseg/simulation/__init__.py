"""Rounds on a data set with known masks, answered by an oracle."""
