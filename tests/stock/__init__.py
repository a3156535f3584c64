"""Celery applications that have never heard of Umbel, on the versions that are out there."""
