"""The sample application: an ordinary Celery worker that knows nothing of Umbel's `app`, and uses
Umbel's plugin as any other application would."""
