"""The one place that knows how Celery talks through Redis: events, results, queues, control.

What it hears, it gives on as `app.domain.events`. Reading never changes anything on the
broker that is watched: no queue is consumed, no message is restored, no key is left behind.
"""
