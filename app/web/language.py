"""Texts that people read, in their language: everything on a page goes through one of these."""


def text(message: str) -> str:
    """A text in the reader's language, its `%(name)s` not yet filled in."""
    return message


def plural(one: str, many: str, num: int) -> str:
    """The same of a number of things."""
    return one if num == 1 else many


def gettext(message: str, **values: object) -> str:
    """A text in the reader's language; `%(name)s` stands for a value, `%%` for a percent sign."""
    return text(message) % values


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """The same of a number of things, which is `%(num)s`."""
    return plural(one, many, num) % {"num": num, **values}
