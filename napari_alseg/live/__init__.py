"""The head that follows answers: its model, the ranked pool, and the follower."""
