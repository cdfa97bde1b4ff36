"""Networks, their pretrained weights and their devices."""
