"""Write a stylesheet into the tags of a template's source, leaving its Jinja parts alone.

Mail programs drop stylesheets, so every element carries its own style. The source is never
parsed and written anew, which would move what stands between rows out of a table and close
what ``{% if %}`` leaves open: css-inline sees a skeleton of its tags, and only what it says of
each tag's style is put into the source. So a template keeps its lines, and its errors their
places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape, unescape
from typing import Final

from css_inline import CSSInliner
from jinja2 import Environment

MOST_TAGS: Final = 2_000
"""Start tags of one source. css-inline overflows its stack at some 20,000 nested ones."""

# What stands in for Jinja's parts while tags are looked for: as long, and of no meaning.
_OUTPUT: Final = "\x02"
_BLOCK: Final = "\x03"

# A tag, or what hides tags. Possessive, so that no source makes it go back and try again.
_MARKUP: Final = re.compile(
    r"<!--(?P<comment>.*?)-->"
    r"|<(?P<raw>script|style|title|textarea)\b(?P<raw_rest>[^>]*+>(?P<raw_text>.*?)</(?P=raw)\s*>)"
    r"|<(?P<close>/?)(?P<name>[a-z][a-z0-9-]*+)(?P<rest>(?:[^\"'>]|\"[^\"]*\"|'[^']*')*+)>",
    re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE: Final = re.compile(
    r"(?P<name>[^\s\"'<>/=\x02\x03]+)(?:\s*=\s*"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?"
)
_MARK: Final = re.compile(r"<[a-z][^>]*?\bdata-n=\"(\d+)\"[^>]*?\bstyle=\"([^\"]*)\"")
_RAW: Final = frozenset({"script", "style", "title", "textarea"})

# Sees tokens only: nothing is compiled with it, and nothing trimmed.
_LEXER: Final = Environment(keep_trailing_newline=True, autoescape=True)


class UnsafeMarkupError(Exception):
    """Markup that is not taken; ``place`` is how many characters stand before it, if it has one."""

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Tag:
    """One tag of a source; ``end`` is where its name ends."""

    name: str
    closes: bool
    end: int
    attributes: tuple[_Attribute, ...] = ()


def inlined(source: str, stylesheet: str, *, inside: tuple[str, str] = ("", "")) -> str:
    """Return *source* with the styles that *stylesheet* gives its tags written into them.

    A tag's own ``style`` comes after ours and wins. Attribute values that hold Jinja and no
    quotes get them.

    Args:
        source: A template Jinja can tokenize, with ``\\n`` for its line breaks.
        stylesheet: Rules without ``@media``.
        inside: The tags that open and close around it, for selectors that name them.

    Raises:
        UnsafeMarkupError: Data would stand where escaping does not help, or there are more
            than ``MOST_TAGS`` tags.
        TemplateSyntaxError: Jinja cannot tokenize it.
    """
    tags = list(_tags(_masked(source)))
    if sum(not tag.closes for tag in tags) > MOST_TAGS:
        raise UnsafeMarkupError(f"has more than {MOST_TAGS:,} tags; make it simpler")
    styles = _styles(tags, stylesheet, inside)
    pieces: list[str] = []
    done = 0
    for number, tag in enumerate(tags):
        edits = list(_edits(tag, styles.get(number), source))
        for start, end, text in sorted(edits):
            pieces += (source[done:start], text)
            done = end
    pieces.append(source[done:])
    return "".join(pieces)


def _edits(tag: _Tag, style: str | None, source: str) -> Iterator[tuple[int, int, str]]:
    """Yield what becomes of *tag*: start, end, and the text instead."""
    own = next((a for a in tag.attributes if a.name == "style" and a.value), None)
    for attribute in tag.attributes:
        if attribute is own and style:
            kept = source[attribute.start : attribute.end]
            quote = kept[0] if kept[0] in "\"'" else '"'
            bare = kept.strip(quote)
            yield attribute.start, attribute.end, f"{quote}{style};{bare}{quote}"
        elif attribute.value[:1] not in ('"', "'") and _holds_jinja(attribute.value):
            yield (
                attribute.start,
                attribute.end,
                f'"{source[attribute.start : attribute.end]}"',
            )
    if style and own is None:
        yield tag.end, tag.end, f' style="{style}"'


def _holds_jinja(text: str) -> bool:
    return _OUTPUT in text or _BLOCK in text


def _masked(source: str) -> str:
    """Return *source* with every character of a Jinja part replaced."""
    masked: list[str] = []
    place, filler = 0, _BLOCK
    for _, kind, value in _LEXER.lex(source):
        found = source.index(value, place)
        # Between two tokens stands only the space that a minus sign takes away.
        masked.append(" " * (found - place))
        if kind == "data":
            masked.append(value.replace(_OUTPUT, " ").replace(_BLOCK, " "))
        else:
            filler = _OUTPUT if kind == "variable_begin" else filler
            masked.append(filler * len(value))
            filler = _BLOCK if kind == "variable_end" else filler
        place = found + len(value)
    return "".join(masked)


def _tags(masked: str) -> Iterator[_Tag]:
    place = masked.find("<")
    while place >= 0:
        found = _MARKUP.match(masked, place)
        following = masked[place + 1 : place + 3].lstrip("/")
        if following.startswith(_OUTPUT):
            raise UnsafeMarkupError("a tag cannot be named by data; write its name", place)
        if found is None:
            if following[:1].isalpha() or masked.startswith("<!--", place):
                # Never closed: what follows is no markup to a reader either.
                return
            place = masked.find("<", place + 1)
            continue
        if found["raw"]:
            if found["raw"].lower() == "script" and _OUTPUT in found[0]:
                raise UnsafeMarkupError("data cannot stand in a script; remove it", place)
        elif found["name"]:
            if found["name"].lower() in _RAW and not found["close"]:
                return
            yield _tag(masked, found)
        place = masked.find("<", found.end())


def _tag(masked: str, found: re.Match[str]) -> _Tag:
    start, end = found.span("rest")
    attributes: list[_Attribute] = []
    between = start
    for each in _ATTRIBUTE.finditer(masked, start, end):
        if _OUTPUT in masked[between : each.start()]:
            break
        between = each.end()
        name = each["name"].lower()
        if name.startswith("on") and _OUTPUT in (each["value"] or ""):
            raise UnsafeMarkupError(f"data cannot stand in '{name}'; remove it", each.start())
        value = each.span("value") if each["value"] else (each.end(), each.end())
        attributes.append(_Attribute(name, each["value"] or "", *value))
    if _OUTPUT in masked[between:end]:
        raise UnsafeMarkupError(
            'data in a tag is an attribute\'s value, as in href="{{ links.review }}"', found.start()
        )
    return _Tag(found["name"].lower(), bool(found["close"]), start, tuple(attributes))


def _styles(tags: list[_Tag], stylesheet: str, inside: tuple[str, str]) -> dict[int, str]:
    """Return the style of each tag by its place in *tags*, ready for an attribute's value."""
    skeleton = "".join(_skeleton(number, tag) for number, tag in enumerate(tags))
    document = CSSInliner(
        inline_style_tags=False,
        keep_style_tags=False,
        load_remote_stylesheets=False,
        extra_css=stylesheet,
    ).inline(f"{inside[0]}{skeleton}{inside[1]}")
    return {
        int(number): escape(unescape(style).replace(": ", ":").rstrip("; "))
        for number, style in _MARK.findall(document)
    }


def _skeleton(number: int, tag: _Tag) -> str:
    if tag.closes:
        return f"</{tag.name}>"
    kept = "".join(
        f' {attribute.name}="{_words(attribute.value)}"'
        for attribute in tag.attributes
        if attribute.name in ("class", "id", "scope", "role", "dir")
    )
    return f'<{tag.name} data-n="{number}"{kept}>'


def _words(value: str) -> str:
    """Return what an attribute says for certain: its words that no Jinja part touches."""
    words = value.strip("\"'").replace(_BLOCK, " ").split()
    return escape(" ".join(word for word in words if _OUTPUT not in word))
