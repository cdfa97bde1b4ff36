"""From an image to what a network says of each pixel."""
