"""CISC-R: pairs of images, their losses, and rectified pseudo labels."""
