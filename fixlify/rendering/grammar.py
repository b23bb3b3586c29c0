"""What a template may contain, decided on its syntax tree before anything runs.

Jinja2 parses templates and runs them in its immutable sandbox; the walk here comes between.
It knows an allow-list of constructs, refuses names that do not exist, and bounds the work.
``{{ client.first_name }}`` becomes a plain variable, so no object with methods ever reaches
a template.

The bound: at most ``MOST_STEPS`` nodes are evaluated, counting a loop's body ``LONGEST_LIST``
times; calls, arithmetic, macros, recursion and slices do not exist; no value is longer than
``LONGEST_VALUE``; and rendering stops at the part's own length.
"""

# ruff: noqa: N802 - Jinja2 calls a method by the class of the node.

from __future__ import annotations

from enum import StrEnum
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from fixlify.domain.errors import Problem
from fixlify.domain.names import did_you_mean
from fixlify.rendering.filters import FILTERS, JOIN_UP, LONGEST_LIST, LOOP_OVER, TESTS
from fixlify.rendering.formats import STYLES
from fixlify.rendering.variables import Kind, Variable, fields_of, groups, hint, variable

MOST_STEPS = 50_000


class Part(StrEnum):
    """One of the texts a message is made of."""

    SUBJECT = "subject"
    TEXT = "text"
    HTML = "html"
    SMS = "sms"


def at(part: Part, line: int | None) -> str:
    """Return the path of a place in a template: ``text line 3``."""
    return part.value if line is None else f"{part.value} line {line}"


_LOOP_PARTS = {f"loop.{part}" for part in ("first", "last", "index", "revindex", "length")}

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Tuple,
    nodes.List,
    nodes.If,
    nodes.For,
    nodes.Assign,
    nodes.Keyword,
)

_REFUSALS: dict[type[nodes.Node], str] = {
    nodes.Call: "nothing can be called; remove the parentheses",
    nodes.BinExpr: "templates do not calculate; give the result in the facts",
    nodes.UnaryExpr: "templates do not calculate; give the result in the facts",
    nodes.Include: "a template stands alone; 'include' is not possible",
    nodes.Import: "a template stands alone; 'import' is not possible",
    nodes.FromImport: "a template stands alone; 'import' is not possible",
    nodes.Extends: "a template stands alone; 'extends' is not possible",
    nodes.Block: "a template stands alone; 'block' is not possible",
    nodes.Macro: "'macro' is not possible; write the text where it is needed",
}


class Reading(NodeTransformer):
    """One walk over one syntax tree; notes problems and fields, and puts in what we run."""

    def __init__(self, part: Part) -> None:
        self.problems: list[Problem] = []
        self.fields: dict[str, str] = {}
        self.steps = 0
        self._part = part
        self._repeats = 1
        self._locals: list[set[str]] = [set()]

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        self.steps += self._repeats
        if isinstance(node, _ALLOWED):
            return super().visit(node, *args, **kwargs)
        refusals = [words for kind, words in _REFUSALS.items() if isinstance(node, kind)]
        name = type(node).__name__.lower()
        self._note(node, refusals[0] if refusals else f"'{name}' is not possible in a template")
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        braces = ("{{", "{%") if self._part is Part.HTML else ("{{", "{%", "}}", "%}")
        if stray := [brace for brace in braces if brace in node.data]:
            self._note(node, f"'{stray[0]}' would be sent as it stands; complete or remove it")
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        for child in node.nodes:
            found = self._variable(child)
            if found and found.kind is Kind.FLAG:
                self._note(child, f"'{found.field}' is yes or no; ask for it with {{% if %}}")
        return self.generic_visit(node)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        return node if self._is_local(node.name) else self._read(node, node.name)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        name = self._dotted(node)
        if name is not None:
            return self._read(node, name)
        if isinstance(node.node, nodes.Name) and node.node.name == "loop":
            name = f"loop.{node.attr}"
            if name not in _LOOP_PARTS:
                self._note(node, f"unknown variable '{name}'; {did_you_mean(name, _LOOP_PARTS)}")
            return node
        self._note(node, f"'.{node.attr}' is not possible here; remove it")
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        name = self._dotted(node)
        if name is not None:
            return self._read(node, name)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, int):
            return self.generic_visit(node)
        self._note(node, "[…] takes a number, as in client.tags[0]")
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        filter_ = FILTERS.get(node.name)
        if filter_ is None:
            self._note(node, f"unknown filter '{node.name}'; {did_you_mean(node.name, FILTERS)}")
            return self.generic_visit(node)
        keywords = [str(keyword.key) for keyword in node.kwargs]
        starred = node.dyn_args is not None or node.dyn_kwargs is not None
        if starred or not filter_.takes(len(node.args), keywords):
            self._note(node, f"'{node.name}' does not take these arguments")
            return self.generic_visit(node)
        found = self._variable(node.node)
        if found and filter_.needs and found.kind not in filter_.needs:
            needed = filter_.needs[0].value
            self._note(node, f"'{node.name}' needs {needed}, '{found.field}' is {found.kind.value}")
        if Kind.MOMENT in filter_.needs:
            self._check_style(node)
        if found and Kind.MOMENT in filter_.needs:
            # The format that is asked for, not the one the old name implies.
            node.node = self._use(node, found)
        elif node.node is not None:
            node.node = self.visit(node.node)
        node.args = [self.visit(argument) for argument in node.args]
        node.kwargs = [self.visit(keyword) for keyword in node.kwargs]
        return node

    def _check_style(self, node: nodes.Filter) -> None:
        for style in [*node.args, *(keyword.value for keyword in node.kwargs)]:
            if isinstance(style, nodes.Const) and style.value not in STYLES:
                self._note(node, f"'{node.name}' takes one of {', '.join(STYLES)}")

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        if node.name not in TESTS:
            self._note(node, f"unknown test '{node.name}'; {did_you_mean(node.name, TESTS)}")
            return node
        return self.generic_visit(node)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        node.expr2 = node.expr2 or nodes.Const("", lineno=node.lineno)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        values = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(values, JOIN_UP, [], [], None, None, lineno=node.lineno)

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:
        node.node = self.visit(node.node)
        self._declare(node.target)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            self._note(node, "'recursive' is not possible; remove it")
        values = self.visit(node.iter)
        node.iter = nodes.Filter(values, LOOP_OVER, [], [], None, None, lineno=node.lineno)
        outside = self._repeats
        self._repeats *= LONGEST_LIST
        self._locals.append({"loop"})
        self._declare(node.target)
        node.test = self.visit(node.test) if node.test else None
        node.body = [self.visit(child) for child in node.body]
        self._locals.pop()
        self._repeats = outside
        node.else_ = [self.visit(child) for child in node.else_]
        return node

    def _note(self, node: nodes.Node, message: str) -> None:
        self.problems.append(Problem(at(self._part, node.lineno), message))

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self._locals)

    def _declare(self, target: nodes.Node) -> None:
        if not isinstance(target, nodes.Name):
            self._note(target, "only a single name can be set")
        elif target.name in groups() or target.name.startswith("_") or "__" in target.name:
            self._note(target, f"'{target.name}' cannot be set; choose another name")
        else:
            self._locals[-1].add(target.name)

    def _dotted(self, node: nodes.Node) -> str | None:
        """Return ``client.first_name`` for an expression that says so, or None."""
        if isinstance(node, nodes.Name):
            return None if self._is_local(node.name) else node.name
        if isinstance(node, nodes.Getattr):
            before, last = self._dotted(node.node), node.attr
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            before, last = self._dotted(node.node), node.arg.value
        else:
            return None
        return f"{before}.{last}" if before is not None and isinstance(last, str) else None

    def _variable(self, node: nodes.Node | None) -> Variable | None:
        name = self._dotted(node) if node else None
        return variable(name) if name else None

    def _read(self, node: nodes.Node, name: str) -> nodes.Node:
        """Return what stands for the variable *name*, in the format its name implies."""
        found = variable(name)
        if found is None:
            if name in groups():
                fields = ", ".join(fields_of(name))
                self._note(node, f"'{name}' is not a variable by itself; write one of {fields}")
            else:
                known = {local for scope in self._locals for local in scope}
                self._note(node, f"unknown variable '{name}'; {hint(name, known)}")
            return node
        value = self._use(node, found)
        if found.shown_as is None:
            return value
        return nodes.Filter(value, found.shown_as, [], [], None, None, lineno=node.lineno)

    def _use(self, node: nodes.Node, found: Variable) -> nodes.Name:
        self.fields[found.identifier] = found.field
        return nodes.Name(found.identifier, "load", lineno=node.lineno)
