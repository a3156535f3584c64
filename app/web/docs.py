"""`GET /docs`: Swagger UI over our OpenAPI document, every file of it served by us."""

from fastapi import APIRouter, Request
from starlette.responses import Response

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Umbel: REST API</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<div id="docs" data-openapi="/openapi.json"></div>
<noscript>This page needs JavaScript; the document itself is at
<a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""
FILES = {
    "icon": "favicon.svg",
    "style": "vendor/swagger-ui/swagger-ui.css",
    "bundle": "vendor/swagger-ui/swagger-ui-bundle.js",
    "start": "js/docs.js",
}

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def show_docs(request: Request) -> Response:
    """The REST API to read and to try."""
    assets = request.app.state.assets
    page = PAGE.format(**{part: assets.url(name) for part, name in FILES.items()})
    return Response(page, media_type="text/html; charset=utf-8")
