"""A child process that runs one task after another (no Qt)."""

from .client import PATIENT_THREADS, Worker

__all__ = ["PATIENT_THREADS", "Worker"]
