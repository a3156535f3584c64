"""A Python traceback taken apart, so that a page can show the application's own frames first.

Tasks send any text as their traceback, and Celery cuts some: what is not understood stays a text,
and nothing here ever raises.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

PARSED_LIMIT = 128 * 1024
"""Characters that are taken apart: twice what the store keeps of a traceback."""
ERRORS_LIMIT = 50
"""Errors of one chain, or of all groups together: more is a loop that raises."""
FRAMES_LIMIT = 400
"""Frames of one error that are shown apart; Python's own recursion limit is 1,000."""
SOURCE_LINES = 8
"""Lines of source under one frame; Python writes one, or those of one expression."""
MESSAGE_LINES = 200
"""Lines of one error's message."""


class Link(StrEnum):
    """How an error came about after the one that Python printed before it."""

    CAUSED = "caused"
    DURING = "during"


_FRAME = re.compile(r'^  File "(?P<file>[^"\n]*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_REPEATED = re.compile(r"^  \[Previous line repeated (\d+) more times?\]$")
_CARETS = re.compile(r"^\s+[~^]+\s*$")
_HEAD = re.compile(r"^(Exception Group )?Traceback \(most recent call last\):\s*$")
_GROUP = "Exception Group Traceback"
_MARGIN = re.compile(r"^( *)[|+](?:[ -]|$)")
_PART = re.compile(r"^ *(?:\+-)?\+-+ (?:\d+|\.\.\.) -+\s*$")
OUTERMOST = 2
"""Columns before the margin of a group that is in no other; each within has two more."""
_CAUSE = "The above exception was the direct cause of the following exception:"
_DURING = "During handling of the above exception, another exception occurred:"
_LINKS = {_CAUSE: Link.CAUSED, _DURING: Link.DURING}
_LIBRARY = re.compile(
    r"^<frozen |^<__array_function__|[/\\](?:site|dist)-packages[/\\]|[/\\]lib(?:64)?[/\\]python3"
    r"|[/\\]python3\d*[/\\]lib[/\\]|[/\\]celery[/\\]app[/\\]trace\.py$|[/\\]billiard[/\\]",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"^(?P<kind>[^\W\d][\w.]*(?:\.<locals>\.\w+)*)(?:: ?(?P<message>.*))?$", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: where it is, and the line as it was written. `repeated`: so many times more."""

    file: str
    line: int
    function: str | None
    source: str = ""
    repeated: int = 0

    @property
    def is_library(self) -> bool:
        """Python's own or an installed package's; the rest is the application's."""
        return bool(_LIBRARY.search(self.file))


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames that follow each other, all of libraries or none."""

    library: bool
    frames: tuple[Frame, ...]

    @property
    def count(self) -> int:
        return sum(1 + frame.repeated for frame in self.frames)


@dataclass(frozen=True, slots=True)
class Raised:
    """One error with its frames in order of the calls, the raising one last.

    `link` says how it followed the error before it. `members` are those of an exception group.
    """

    kind: str
    message: str
    frames: tuple[Frame, ...]
    link: Link | None = None
    members: tuple["Raised", ...] = ()

    @property
    def place(self) -> Frame | None:
        """Where to look first: the application's last frame, or the last of all."""
        own = [frame for frame in self.frames if not frame.is_library]
        return (own or self.frames or (None,))[-1]

    @property
    def chains(self) -> tuple[tuple["Raised", ...], ...]:
        """The members, each with the errors that it came of."""
        found: list[list[Raised]] = []
        goes_on = False
        for member in self.members:
            found = found if goes_on else [*found, []]
            found[-1].append(member)
            goes_on = member.link is not None
        return tuple(map(tuple, found))

    @property
    def runs(self) -> tuple[Frames, ...]:
        """The frames, those of libraries taken together."""
        grouped = groupby(self.frames, key=lambda frame: frame.is_library)
        return tuple(Frames(library, tuple(frames)) for library, frames in grouped)


def parse_traceback(text: str | None) -> tuple[Raised, ...]:
    """The errors of a traceback, the last one, which is what happened in the end, first.

    Empty where the text is none.
    """
    if not text or len(text) > PARSED_LIMIT:
        return ()
    found = _errors(text.replace("\r\n", "\n").split("\n"), OUTERMOST, [ERRORS_LIMIT])
    return tuple(found) if any(map(_has_frames, found)) else ()


def _has_frames(error: Raised) -> bool:
    return bool(error.frames) or any(map(_has_frames, error.members))


def _errors(lines: list[str], column: int, left: list[int]) -> list[Raised]:
    """The errors of one level, the last first; `left` is how many more may be found."""
    found = []
    for link, own, nested in _chained(lines, column):
        if left[0] > 0 and (error := _error(link, own, column > OUTERMOST, left)):
            found.append(replace(error, members=tuple(_members(nested, column, left))))
    return found[::-1]


Part = tuple[Link | None, list[str], list[str]]
"""How an error followed the one before it, its own lines, and those of the members of its group."""


def _chained(lines: list[str], column: int) -> Iterator[Part]:
    """The text of each error of one level, without the margin that marks the inside of a group."""
    part: Part = None, [], []
    grouped = column > OUTERMOST
    for line in lines:
        margin = _MARGIN.match(line)
        grouped |= line.startswith(f"  + {_GROUP}")
        at = len(margin[1]) if margin and grouped else -1
        if at > column or (at == column and _PART.match(line)):
            part[2].append(line)
            continue
        own = line[column + 2 :] if at == column else line
        if own.strip() in _LINKS:
            yield part
            part = _LINKS[own.strip()], [], []
        else:
            part[1].append(own)
    yield part


def _error(link: Link | None, lines: list[str], bare: bool, left: list[int]) -> Raised | None:
    """The last error that such lines tell of; `bare` ones were never raised, and have no frames."""
    heads = [number for number, line in enumerate(lines) if _HEAD.match(line)]
    if not heads and not (bare and any(lines)):
        return None
    left[0] -= 1
    frames, rest = _frames(lines[heads[-1] + 1 :] if heads else lines)
    return Raised(*_named(rest), tuple(frames), link)


def _members(lines: list[str], column: int, left: list[int]) -> list[Raised]:
    found: list[Raised] = []
    part: list[str] = []
    for line in lines:
        if line.startswith((" " * column + "+-+-", " " * (column + 2) + "+--")):
            found += _errors(part, column + 2, left)
            part = []
        else:
            part.append(line)
    return found + _errors(part, column + 2, left)


def _frames(lines: list[str]) -> tuple[list[Frame], list[str]]:
    """Frames from the first line on, and the lines after the last of them."""
    frames: list[Frame] = []
    place = 0
    while place < len(lines):
        opened = _FRAME.match(lines[place])
        again = _REPEATED.match(lines[place])
        if opened is None and again is None:
            break
        place += 1
        if again is not None:
            if frames:
                frames[-1] = _repeated(frames[-1], int(again[1][:6]))
            continue
        end = place
        while end < len(lines) and lines[end].startswith("    "):
            end += 1
        if opened is not None and len(frames) < FRAMES_LIMIT:
            frames.append(_frame(opened, lines[place:end]))
        place = end
    return frames, lines[place:]


def _frame(opened: re.Match[str], under: list[str]) -> Frame:
    written = [line[4:] for line in under if not _CARETS.match(line)]
    source = "\n".join(written[:SOURCE_LINES])
    return Frame(opened["file"], int(opened["line"][:9]), opened["function"], source)


def _repeated(frame: Frame, times: int) -> Frame:
    return Frame(frame.file, frame.line, frame.function, frame.source, frame.repeated + times)


def _named(lines: list[str]) -> tuple[str, str]:
    """Kind and message of the error that stands under its frames."""
    text = "\n".join(lines[:MESSAGE_LINES]).strip("\n").rstrip('"\n ')
    first, _, more = text.partition("\n")
    named = _ERROR.match(first)
    if named is None:
        return "", text
    return named["kind"], "\n".join(filter(None, ((named["message"] or "").strip(), more)))
