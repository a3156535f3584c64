"""Umbel: the live control plane for Celery. `docs/architecture.md` has the picture."""
