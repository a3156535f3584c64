"""Celery's wire format, heard and spoken, against real brokers and real workers."""
