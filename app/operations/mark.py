"""Saying that something happened, such as a deployment."""

import time
from urllib.parse import urlsplit

from app.domain.errors import BadInput, FieldError
from app.store.markers import Marker

TITLE, VERSION, URL = 120, 64, 2_000
"""Characters at most: a title is read on a chart, an address is as long as browsers take."""
AHEAD = 86_400.0
"""Seconds that a marker may lie ahead: a release that is planned, and no mistake of a year."""
SCHEMES = ("http", "https")
"""Of addresses that a click opens; others could run a script."""


def check_marker(marker: Marker) -> None:
    """Raises BadInput, naming each field that can't be drawn."""
    errors = []
    for field, text, most in (
        ("title", marker.title, TITLE),
        ("version", marker.version, VERSION),
        ("url", marker.url, URL),
    ):
        if text is not None and not 0 < len(text.strip()) <= most:
            errors.append(FieldError(("body", field), f"is not 1 to {most:,} characters long"))
    if marker.url is not None and not _is_link(marker.url):
        errors.append(FieldError(("body", "url"), "is not an address with http:// or https://"))
    if marker.at > time.time() + AHEAD:
        errors.append(FieldError(("body", "at"), "is more than a day ahead"))
    if errors:
        raise BadInput("There can be no such marker.", tuple(errors))


def _is_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in SCHEMES and bool(parts.netloc) and url.isprintable()
