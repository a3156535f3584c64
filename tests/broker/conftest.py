"""What the broker's tests need beside the fixtures that all have."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stock: real workers of all supported Celery versions")
