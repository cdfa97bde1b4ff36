"""Rounds that an oracle answers from known masks."""
