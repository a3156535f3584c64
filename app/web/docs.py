"""`GET /docs`: Swagger UI over our OpenAPI document, every file of it served by us."""

from fastapi import APIRouter
from starlette.responses import Response

PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Umbel: REST API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="docs" data-openapi="/openapi.json"></div>
<noscript>This page needs JavaScript; the document itself is at
<a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/js/docs.js"></script>
</body>
</html>
"""

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def show_docs() -> Response:
    """The REST API to read and to try."""
    return Response(PAGE, media_type="text/html; charset=utf-8")
