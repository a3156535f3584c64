"""Who reads a page: in which language, and the little that they chose about it before."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.domain.errors import BadInput, FieldError
from app.web.language import LANGUAGES, chosen, speak

LANGUAGE_COOKIE = "umbel_language"
YEAR = 31_536_000
"""Seconds for which a choice is kept, as the theme's is; each new choice begins it anew."""
PATH_LIMIT = 4_000
"""Characters of the address to come back to; longer ones are no page of ours."""

router = APIRouter()


def language_of(request: Request) -> str:
    """The language that somebody chose, or that their browser asks for."""
    return chosen(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language"))


async def speak_to(request: Request) -> None:
    """Has everything from here on speak the reader's language."""
    speak(language_of(request))


def chosen_of(request: Request, cookie: str, words: Sequence[str]) -> str | None:
    """What this browser has chosen before, so that the page comes right at once; None: nothing."""
    word = request.cookies.get(cookie)
    return word if word in words else None


@router.post("/ui/language", include_in_schema=False)
async def choose_language(request: Request) -> Response:
    """Keeps the choice in a cookie and goes back. Raises BadInput."""
    form = await request.form()
    wanted = str(form.get("language", ""))
    if wanted not in LANGUAGES:
        words = f"{wanted[:40]!r} is not one of {', '.join(LANGUAGES)}"
        raise BadInput("That language is not known.", (FieldError(("language",), words),))
    answer = RedirectResponse(own_page(str(form.get("back", ""))), 303)
    answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=YEAR, path="/", samesite="lax")
    return answer


def own_page(address: str) -> str:
    """An address to go back to, if it is one of our own pages; else the first page."""
    own = address == "/" or address.startswith(("/?", "/ui/"))
    plain = address.isprintable() and "\\" not in address and len(address) <= PATH_LIMIT
    return address if own and plain else "/"
