"""Convert a text of the replaced system into a template of ours, or say what cannot be, and where.

It wrote ``{{client_name}}``, ``{{client.firstName}}`` and ``{client.firstName}``, and Handlebars
blocks: ``{{#if x}}…{{else}}…{{/if}}``, ``{{#unless x}}``, ``{{#each x}}``. Our own syntax passes as
it is. Lines keep their places. No brace is left outside an expression, but for those of a
``<style>``: what is not understood is a problem, so no client ever reads one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final
from urllib.parse import unquote

from fixlify.domain.errors import Problem
from fixlify.rendering.compiling import LONGEST_SOURCE, DefectiveTemplateError, compile_part
from fixlify.rendering.grammar import Part, at
from fixlify.rendering.variables import Kind, Variable, hint, variable

MOST_PROBLEMS: Final = 25
"""Problems told of one part; whoever mends them finds the others."""

_LONGEST_TAG: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*(?:\s*\.\s*[A-Za-z_][\w-]*)*")
_SINGLE: Final = re.compile(r"\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}")
_STYLE: Final = re.compile(r"<style\b", re.IGNORECASE)
_STYLE_END: Final = re.compile(r"</style\b", re.IGNORECASE)
_ENCODED: Final = re.compile(r"%7b%7b([^{}%]*(?:%(?!7d%7d)[^{}%]*){0,99})%7d%7d", re.IGNORECASE)
_LEFT_ENCODED: Final = re.compile(r"%7b%7b|%7d%7d", re.IGNORECASE)
_BRACE_ENTITIES: Final = (
    (re.compile(r"&(?:#0*123|#x0*7b|lbrace|lcub);", re.IGNORECASE), "{"),
    (re.compile(r"&(?:#0*125|#x0*7d|rbrace|rcub);", re.IGNORECASE), "}"),
)
_MARKUP: Final = re.compile(r"</?[A-Za-z]")
_HELPER: Final = re.compile(r"[A-Za-z_][\w.-]*\s+(?![-+*/|=!<>&~%)]|(?:and|or|if|is|in|not)\b)\S")
_OWN_NAMES: Final = re.compile(r"(?:set|for)\s+([A-Za-z_]\w*)")
_OWN_TAG: Final = re.compile(r"(?:if|elif|else|endif|for|endfor|set)\b")
_EACH: Final = re.compile(r"(\S+)(?:\s+as\s+\|\s*([A-Za-z_]\w*)[^|]*\|)?")
_ITEM: Final = {"@first": "loop.first", "@last": "loop.last"}


@dataclass(frozen=True, slots=True)
class Converted:
    """A text in our syntax, and what keeps it from being a template.

    A problem's path is the part and the line, which are those of the original.
    """

    text: str
    problems: tuple[Problem, ...]


def convert(part: Part, source: str) -> Converted:
    """Return *source*, in whichever syntax it is written, as a part of a template."""
    if len(source) > LONGEST_SOURCE:
        too_long = f"is longer than {LONGEST_SOURCE:,} characters; shorten it"
        return Converted("", (Problem(part.value, too_long),))
    conversion = _Conversion(part, _decoded(part, source))
    text = conversion.run()
    problems = conversion.problems
    if not problems:
        try:
            compile_part(part, text)
        except DefectiveTemplateError as error:
            problems = error.problems
    if len(problems) > MOST_PROBLEMS:
        more = Problem(part.value, f"and {len(problems) - MOST_PROBLEMS} more problems")
        problems = [*problems[:MOST_PROBLEMS], more]
    return Converted(text, tuple(problems))


def _decoded(part: Part, source: str) -> str:
    """Return *source* with plain line breaks, and with the braces that an editor encoded."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    if part is Part.HTML:
        for entity, brace in _BRACE_ENTITIES:
            text = entity.sub(brace, text)
    return _ENCODED.sub(lambda found: "{{" + unquote(found[1]) + "}}", text)


@dataclass(frozen=True, slots=True)
class _Block:
    """An open block: what closes it there, what closes it here, where it began, its item."""

    name: str
    closed_by: str
    begun: int
    item: str | None = None


class _Conversion:
    """One walk over one text from brace to brace."""

    def __init__(self, part: Part, source: str) -> None:
        self.problems: list[Problem] = []
        self._part = part
        self._source = source
        self._lines = [0, *(found.end() for found in re.finditer("\n", source))]
        self._styles = list(_styles(source)) if part is Part.HTML else []
        self._written: list[str] = []
        self._blocks: list[_Block] = []
        self._names = {"loop"}

    def run(self) -> str:
        done = 0
        while (found := _brace(self._source, done)) >= 0:
            self._written.append(self._source[done:found])
            done = self._in_style(found) if self._is_style(found) else self._at(found)
        self._written.append(self._source[done:])
        for block in self._blocks:
            self._note(block.begun, f"'{block.name}' is never closed; add {{{{/{block.name}}}}}")
        for encoded in _LEFT_ENCODED.finditer(self._source):
            self._note(encoded.start(), f"'{encoded[0]}' is half a variable; complete or remove it")
        self.problems.sort(key=lambda problem: _line_in(problem.path))
        return "".join(self._written)

    def _at(self, place: int) -> int:
        """Convert what begins with the brace at *place*; return where to go on."""
        source = self._source
        for opening, closing, convert_inner in (
            ("{{{", "}}}", self._raw),
            ("{{", "}}", self._expression),
            ("{%", "%}", self._own_tag),
            ("{#", "#}", self._own_comment),
        ):
            if source.startswith(opening, place):
                begin = place + len(opening)
                end = source.find(closing, begin, place + _LONGEST_TAG)
                if end < 0:
                    what = f"'{opening}' is never closed; add '{closing}', or remove it"
                    self._note(place, what)
                    return begin
                after = end + len(closing)
                convert_inner(source[begin:end], place, after)
                return after
        return self._single(place)

    def _single(self, place: int) -> int:
        found = _SINGLE.match(self._source, place)
        known = _known(found[1]) if found else None
        if found is None:
            brace = self._source[place]
            self._note(place, f"'{brace}' would be sent as it stands; remove it")
            return place + 1
        if known is None:
            self._note(place, f"'{found[0]}' would be sent as it stands; {hint(found[1])}")
        else:
            if known.kind is not Kind.AMOUNT and self._written[-1].endswith("$"):
                # ${client.firstName}, as JavaScript has it; before an amount it is the currency.
                self._written[-1] = self._written[-1][:-1]
            self._print(known, found[0])
        return found.end()

    def _is_style(self, place: int) -> bool:
        while self._styles and self._styles[0][1] <= place:
            self._styles.pop(0)
        return bool(self._styles) and self._styles[0][0] <= place

    def _in_style(self, place: int) -> int:
        """Keep a brace of CSS, unless it begins a variable."""
        source = self._source
        if source.startswith("{{", place):
            end = source.find("}}", place, place + _LONGEST_TAG)
            if end >= 0 and _known(source[place + 2 : end].strip()):
                return self._at(place)
        self._written.append(source[place])
        if source[place] == "{" and source[place + 1 : place + 2] in ("{", "%", "#"):
            # '{#id' would begin a comment.
            self._written.append(" ")
        return place + 1

    def _raw(self, inner: str, place: int, after: int) -> None:
        # It put data in unescaped; no data of ours is markup.
        self._expression(inner, place, after)

    def _expression(self, inner: str, place: int, after: int) -> None:
        said = inner.strip("~").replace("\u00a0", " ").strip()
        if self._part is Part.HTML:
            if _MARKUP.search(said) and not said.startswith("!"):
                self._note(place, "formatting runs through the braces; write the name in one piece")
                return
            said = unescape(said).replace("\u00a0", " ").strip()
        if said.startswith("!"):
            self._tag("#", "", inner, place, after)
        elif not said:
            self._note(place, "the braces hold nothing; name a variable, or remove them")
        elif self._holds_brace(said, place):
            return
        elif said[0] in "#/^" or re.match(r"else\b|elseif\b", said):
            self._block(said, inner, place, after)
        elif said[0] == ">":
            self._note(place, "a template stands alone; write the text of the part here")
        else:
            self._value(said.removeprefix("&").strip(), inner, place)

    def _holds_brace(self, said: str, place: int) -> bool:
        if found := next((each for each in ("{", "}", "\\") if each in said), None):
            self._note(place, f"'{found}' cannot stand between the braces; remove it")
        return found is not None

    def _value(self, said: str, inner: str, place: int) -> None:
        lines = "\n" * inner.count("\n")
        item = next((block.item for block in reversed(self._blocks) if block.item), None)
        if said in ("this", ".") and item:
            self._written.append(f"{{{{ {item}{lines} }}}}")
        elif known := _known(said):
            self._print(known, inner)
        elif said.partition(".")[0] in self._names:
            self._written.append(f"{{{{ {said}{lines} }}}}")
        elif said.startswith(("@", "../", "this")):
            self._note(place, f"'{said}' has no counterpart; write the variable's full name")
        elif _NAME.fullmatch(said):
            self._note(place, f"unknown variable '{said}'; {hint(said)}")
        elif _HELPER.match(said):
            helper = said.split()[0]
            self._note(
                place,
                f"'{helper}' is no filter; write one after the variable, as in "
                "{{ job.schedule_start | date }}",
            )
        else:
            self._written.append(f"{{{{ {said}{_lines_left(inner, said)} }}}}")

    def _print(self, known: Variable, instead_of: str) -> None:
        shown = f" | {known.shown_as}" if known.shown_as else ""
        lines = "\n" * instead_of.count("\n")
        self._written.append(f"{{{{ {known.field}{shown}{lines} }}}}")

    def _block(self, said: str, inner: str, place: int, after: int) -> None:
        mark = said[0]
        word, *after_word = said.lstrip("#/^").split(maxsplit=1) or [""]
        rest = after_word[0].strip() if after_word else ""
        if mark == "/":
            self._close(word, inner, place, after)
        elif said == "^" or mark == "e":
            self._otherwise(said, rest, inner, place, after)
        elif mark == "#" and word in ("if", "unless"):
            condition = self._condition(rest, place)
            negated = f"not {condition}" if word == "unless" else condition
            self._open(_Block(word, "endif", place), f"if {negated}", inner, after)
        elif mark == "#" and word == "each":
            self._each(rest, inner, place, after)
        elif not rest and (known := _known(word)) and known.kind is not Kind.LIST:
            condition = known.field if mark == "#" else f"not {known.field}"
            self._open(_Block(word, "endif", place), f"if {condition}", inner, after)
        else:
            self._note(
                place, f"'{said}' has no counterpart; write it with {{% if %}} or {{% for %}}"
            )
            if mark in "#^":
                self._blocks.append(_Block(word, "", place))

    def _each(self, rest: str, inner: str, place: int, after: int) -> None:
        found = _EACH.fullmatch(rest)
        known = _known(found[1]) if found else None
        depth = sum(block.item is not None for block in self._blocks)
        item = (found and found[2]) or ("item" if not depth else f"item{depth + 1}")
        if known is None or known.kind is not Kind.LIST:
            self._note(place, f"'{rest}' is no list; loops go over client.tags and job.tags")
        self._names.add(item)
        field = known.field if known else "client.tags"
        self._open(_Block("each", "endfor", place, item), f"for {item} in {field}", inner, after)

    def _otherwise(self, said: str, rest: str, inner: str, place: int, after: int) -> None:
        if not self._blocks:
            self._note(place, f"'{said}' stands in no block; remove it")
            return
        if said in ("^", "else"):
            self._tag("%", "else", inner, place, after)
            return
        word, _, condition = rest.partition(" ") if said.startswith("else ") else ("if", "", rest)
        if word not in ("if", "unless"):
            self._note(place, f"'{said}' has no counterpart; write {{{{else if x}}}}")
            return
        negated = "not " if word == "unless" else ""
        self._tag("%", f"elif {negated}{self._condition(condition, place)}", inner, place, after)

    def _condition(self, said: str, place: int) -> str:
        said = said.strip()
        if said in _ITEM:
            return _ITEM[said]
        if known := _known(said):
            return known.field
        if said.partition(".")[0] in self._names:
            return said
        if said == "this" and (item := self._blocks[-1].item if self._blocks else None):
            return item
        if not said:
            self._note(place, "asks for nothing; name a variable")
        elif _NAME.fullmatch(said):
            self._note(place, f"unknown variable '{said}'; {hint(said)}")
        elif said.startswith("("):
            self._note(
                place, f"'{said}' has no counterpart; write {{% if a == b %}} … {{% endif %}}"
            )
        return said or "false"

    def _open(self, block: _Block, tag: str, inner: str, after: int) -> None:
        self._tag("%", tag, inner, block.begun, after)
        self._blocks.append(block)

    def _close(self, name: str, inner: str, place: int, after: int) -> None:
        if not self._blocks or self._blocks[-1].name != name:
            standing = f"; '{self._blocks[-1].name}' is open" if self._blocks else ""
            self._note(place, f"'/{name}' closes nothing{standing}; put it where it belongs")
            return
        if closed_by := self._blocks.pop().closed_by:
            self._tag("%", closed_by, inner, place, after)

    def _own_tag(self, inner: str, place: int, after: int) -> None:
        said = inner.strip("-+").strip()
        if self._part is Part.HTML:
            said = unescape(said)
        if self._holds_brace(said, place):
            return
        if not _OWN_TAG.match(said):
            self._note(
                place, f"'{said.partition(' ')[0]}' is not possible in a template; remove it"
            )
            return
        self._names.update(_OWN_NAMES.findall(said))
        self._written.append(self._source[place:after] if said in inner else f"{{% {said} %}}")

    def _own_comment(self, inner: str, place: int, after: int) -> None:
        if not self._holds_brace(inner, place):
            self._written.append(self._source[place:after])

    def _tag(self, kind: str, said: str, inner: str, place: int, after: int) -> None:
        """Write a tag that trims its line where it stands alone on it, and nowhere else."""
        source = self._source
        begin = self._lines[bisect_right(self._lines, place) - 1]
        end = source.find("\n", after, after + _LONGEST_TAG)
        before = source[begin:place]
        behind = source[after : end if end >= 0 else after + _LONGEST_TAG]
        alone = not before.strip() and not behind.strip()
        left = "+" if before and not before.strip() and not alone else ""
        right = "+" if end == after and not alone else ""
        lines = "\n" * inner.count("\n")
        self._written.append(f"{{{kind}{left} {said}{lines} {right}{kind}}}")

    def _note(self, place: int, message: str) -> None:
        line = bisect_right(self._lines, place)
        self.problems.append(Problem(at(self._part, line), message))


def _styles(source: str) -> Iterator[tuple[int, int]]:
    """Yield where the stylesheets of a page begin and end."""
    begun = _STYLE.search(source)
    while begun and (ended := _STYLE_END.search(source, begun.end())):
        yield begun.start(), ended.start()
        begun = _STYLE.search(source, ended.end())


def _brace(source: str, begin: int) -> int:
    """Return the place of the next brace, or -1."""
    opening, closing = source.find("{", begin), source.find("}", begin)
    return max(opening, closing) if min(opening, closing) < 0 else min(opening, closing)


def _known(name: str) -> Variable | None:
    """Return the variable that *name* means, whichever way its words are put together."""
    if not _NAME.fullmatch(name.replace(" ", "_")):
        return None
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    snake = re.sub(r"[\s-]+", "_", re.sub(r"\s*\.\s*", ".", words)).lower()
    return variable(name) or variable(snake)


def _lines_left(inner: str, said: str) -> str:
    return "\n" * (inner.count("\n") - said.count("\n"))


def _line_in(path: str) -> int:
    return int(path.rpartition(" ")[2]) if path.rpartition(" ")[2].isdigit() else 0
