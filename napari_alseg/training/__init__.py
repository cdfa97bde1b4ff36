"""From labels to weights: plan, examples, job, and a file a kind of training."""
