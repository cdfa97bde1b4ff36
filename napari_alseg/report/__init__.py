"""Simulated runs side by side: numbers, warnings, figures and a page."""
