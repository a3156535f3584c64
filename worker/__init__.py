"""The sample application: an ordinary Celery worker that knows nothing of Umbel's `app`."""
