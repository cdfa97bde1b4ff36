"""From images to asked regions: maps, measures, candidates, choice."""
