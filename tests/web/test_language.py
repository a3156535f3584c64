"""Pages in the language of who reads them; programs are answered in English."""

import ast
import inspect
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from app.domain import errors, search, search_keys
from app.web.language import LANGUAGES, chosen, spoken
from app.web.pages.reader import own_page
from app.web.sentences import sentence
from tests.web.conftest import ended, submit

APP = Path(__file__).resolve().parents[2] / "app"
JAPANESE = {"Cookie": "umbel_language=ja"}
CODE = {"code", "pre", "kbd", "samp", "script", "style", "option"}
READ = {"aria-label", "title", "placeholder", "alt", "data-label", "data-confirm"}
ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']+[,;:.]? ){2,}[a-z]+\b")
"""Three words in a row: a sentence that nobody translated."""
PAGES = {
    "/": "/",
    "/ui/tasks": "/ui/tasks",
    "/ui/tasks/{task_id:path}": "/ui/tasks/{task}",
    "/ui/raw/{task_id:path}": "/ui/raw/{task}",
    "/ui/selected": "/ui/selected?act=revoke&id={task}",
    "/ui/queues": "/ui/queues",
    "/ui/queues/{name:path}": "/ui/queues/celery",
    "/ui/workers": "/ui/workers",
    "/ui/workers/{name:path}": "/ui/workers/w1@test",
    "/ui/submit": "/ui/submit",
    "/ui/data-quality": "/ui/data-quality",
    "/ui/figures": "/ui/figures",
    "/ui/attach": "/ui/attach",
    "/ui/keys": "/ui/keys",
    "/ui/palette": "/ui/palette",
}
"""Every page by its route, with an address."""
NO_PAGES = {"/ui/suggest", "/ui/patterns", "/ui/peek/{task_id:path}"}
"""Answers to scripts, and the page of patterns, which is for who changes pages."""


class Reader(HTMLParser):
    """Collects what people read of a page, and the language that it says it is in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.language: str | None = None
        self._code = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._code += tag in CODE
        if tag == "html":
            self.language = given.get("lang")
        self.found += [value for name, value in given.items() if name in READ and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE and self._code > 0

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


@pytest.mark.parametrize(
    ("cookie", "accepted", "expected"),
    [
        (None, None, "en"),
        ("ja", "en-GB,en;q=0.9", "ja"),
        ("en", "ja", "en"),
        ("xx", "ja-JP,ja;q=0.9,en;q=0.5", "ja"),
        (None, "fr-FR, ja;q=0.4, en;q=0.8", "en"),
        (None, "fr, ja;q=0.9, en;q=0.8", "ja"),
        (None, "ja;q=0, de", "en"),
        (None, "ja;q=x,,;;*", "en"),
        (None, "JA", "ja"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers_else_english(
    cookie: str | None, accepted: str | None, expected: str
) -> None:
    assert chosen(cookie, accepted) == expected


@pytest.mark.parametrize(
    ("address", "back"),
    [
        ("/ui/tasks?q=state:failure", "/ui/tasks?q=state:failure"),
        ("/?range=24h", "/?range=24h"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/ui/", "/"),
        ("/ui/\\elsewhere", "/"),
        ("/ui/x\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_a_choice_leads_back_to_own_pages_alone(address: str, back: str) -> None:
    assert own_page(address) == back


def test_a_language_is_chosen_by_a_form_and_kept(client: httpx.Client) -> None:
    given = {"language": "ja", "back": "/ui/queues"}
    answer = client.post("/ui/language", data=given)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/queues")
    assert "SameSite=lax" in answer.headers["set-cookie"]
    page = Reader(client.get("/ui/queues").text)  # the client keeps cookies

    assert page.language == "ja"
    assert "キュー" in page.found


def test_other_sites_and_unknown_languages_choose_nothing(client: httpx.Client) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    refused = client.post("/ui/language", data={"language": "ja"}, headers=foreign)
    unknown = client.post("/ui/language", data={"language": "xx"}, headers={"Accept": "text/html"})

    assert refused.status_code == 403
    assert unknown.status_code == 422
    assert "set-cookie" not in {**refused.headers, **unknown.headers}


def test_every_page_is_wholly_in_japanese(client: httpx.Client) -> None:
    routes = set()
    for source in (APP / "web" / "pages").glob("*.py"):
        routes |= set(re.findall(r'@router\.get\(\s*"([^"]*)"', source.read_text()))
    assert routes - NO_PAGES == set(PAGES), "a page has no address here"
    task = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, task)
    docs = {entry["doc"] for entry in client.get("/catalog").json()["tasks"]}
    untold = {}
    for address in [
        *PAGES.values(),
        "/ui/tasks?q=stat:x",
        "/ui/tasks?peek={task}",
        "/ui/tasks/nowhere",
        "/ui/nowhere",
    ]:
        address = address.format(task=task)
        page = Reader(client.get(address, headers={**JAPANESE, "Accept": "text/html"}).text)
        assert page.language == "ja", address
        english = [text for text in page.found if ENGLISH.search(text)]
        if english := [text for text in english if text.strip() not in docs]:
            untold[address] = english

    assert untold == {}


def test_what_is_refused_is_said_in_japanese(client: httpx.Client) -> None:
    task = submit(client, "/tasks/add", {"x": 1, "y": 1})
    ended(client, task)
    add = {"name": "worker.tasks.add", "arg.x": "", "arg.y": "a"}
    many = {"act": "revoke"}
    refused = [
        client.post("/ui/submit", data=add, headers=JAPANESE),
        client.post("/ui/submit", data={"name": "nobody"}, headers=JAPANESE),
        client.post(f"/ui/tasks/{task}/revoke", headers=JAPANESE),
        client.post(f"/ui/tasks/{task}/retry", data={"args": "{}"}, headers=JAPANESE),
        client.post("/ui/selected", data=many, headers={**JAPANESE, "Accept": "text/html"}),
    ]
    pages = [Reader(answer.text) for answer in refused]
    docs = {entry["doc"] for entry in client.get("/catalog").json()["tasks"]}
    english = [text for page in pages for text in page.found if ENGLISH.search(text)]

    assert [answer.status_code for answer in refused] == [422, 422, 409, 422, 422]
    assert [page.language for page in pages] == ["ja"] * len(pages)
    assert [text for text in english if text.strip() not in docs] == []
    assert "必須です。" in pages[0].found


def test_programs_are_answered_in_english(client: httpx.Client) -> None:
    japanese = {**JAPANESE, "Accept-Language": "ja"}
    problem = client.get("/tasks/nowhere", headers=japanese).json()
    lines = client.get("/healthz", headers=japanese)

    assert problem["detail"] == "No task 'nowhere' has been heard of."
    assert problem["title"] == "Not found"
    assert lines.text.isascii()


def test_one_page_is_live_in_both_languages_at_once(client: httpx.Client) -> None:
    task = submit(client, "/tasks/add", {"x": 2, "y": 2})
    ended(client, task)
    words = {"en": "Success", "ja": "成功"}
    addresses = {}
    for tag in LANGUAGES:
        page = client.get(f"/ui/tasks/{task}", headers={"Cookie": f"umbel_language={tag}"}).text
        found = re.search(r'data-live="([^"]+)"', page)
        assert found is not None
        addresses[tag] = found[1]
    assert addresses["ja"] == addresses["en"].replace("/en/", "/ja/")
    # The cookie says another language by now: an open page stays in its own.
    texts = {tag: first_frame(client, address) for tag, address in addresses.items()}

    assert words["en"] in texts["en"]
    assert words["ja"] not in texts["en"]
    assert words["ja"] in texts["ja"]
    assert 'state-SUCCESS"' in texts["ja"]


def first_frame(client: httpx.Client, address: str) -> str:
    """What a viewer is sent first, while the browser asks for the other language."""
    other = "ja" if "/en/" in address else "en"
    headers = {"Accept-Encoding": "identity", "Cookie": f"umbel_language={other}"}
    with client.stream("GET", address, headers=headers) as stream:
        read = ""
        for text in stream.iter_text():
            read += text
            if 'id="story"' in read and read.endswith("\n\n"):
                return read
    raise AssertionError(read[-500:])


def raised() -> Iterator[tuple[str, str]]:
    """Sentences of errors that pages can show, with an `X1` for each value: where, and what."""
    kinds = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind)
        and issubclass(kind, errors.UmbelError)
        and kind not in (errors.CannotStart, errors.BadSetting, errors.Superseded)
    }
    places = ("domain", "operations", "store", "feed", "web", "broker")
    for path in sorted(path for place in places for path in (APP / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                place = {"FieldError": 1}.get(node.func.id, 0)
                told = node.func.id in {*kinds, "FieldError"} and len(node.args) > place
                if told and (said := sample(node.args[place])):
                    yield f"{path.relative_to(APP)}:{node.lineno}", said


def sample(node: ast.expr) -> str | None:
    """The text of a literal; None for another expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = [part.value if isinstance(part, ast.Constant) else "X1" for part in node.values]
    return "".join(map(str, parts))


ELSEWHERE = (
    "store/moving.py",
    "web/api/",
    "web/stream.py",
    "web/figures.py",
    "broker/transport.py",
)
"""What is said to shells and programs alone."""
COMPOSED = {
    "X1 X1",
    "X1 X1.",
    "signal X1.",
    "X1 is before now; X1",
    "is one too many; allowed: X1",
}
"""Sentences whose words are put in: pages know each of them with its words."""


def test_pages_know_the_sentences_of_errors() -> None:
    found = [(place, said) for place, said in raised() if not place.startswith(ELSEWHERE)]
    found = [(place, said) for place, said in found if said not in COMPOSED]
    with spoken("ja"):
        unknown = [f"{place} {said}" for place, said in found if sentence(said) == said]

    assert len(found) > 50
    assert unknown == []


def test_pages_know_why_tasks_were_given_up() -> None:
    tree = ast.parse((APP / "domain" / "verdict.py").read_text())
    documented = {sample(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [sample(node) for node in ast.walk(tree) if isinstance(node, ast.expr)]
    # "X1 X1" is who, and what became of it; a text may begin with what another one ends with.
    said = {text.replace("X1 X1", "X1 died") for text in texts if text and text.endswith(".")}
    whole = {text for text in said - documented if text[0].isupper() and " " in text}
    whole = {text for text in whole if not text.startswith("X1; ")}
    with spoken("ja"):
        assert len(whole) > 8
        assert [text for text in whole if sentence(text) == text] == []
        ran = "Its worker w1@a died while it ran."
        assert sentence(ran) == "担当ワーカーw1@aが実行中に停止しました。"
        assert sentence("ValueError: no route; or two") == "ValueError: no route; or two"


def test_pages_know_what_is_said_of_searches() -> None:
    constants = {**vars(search_keys), **vars(search)}
    said = [
        re.sub(r"\{[^}]*\}", "X1", text)
        for name, text in constants.items()
        if name.isupper() and isinstance(text, str) and " " in text
    ]
    said += [key.finds for key in search_keys.KEYS.values()]
    with spoken("ja"):
        assert len(said) > 15
        assert [text for text in said if sentence(text) == text] == []
