"""A lightweight head on the features of a frozen encoder."""
