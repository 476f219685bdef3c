"""Small changes of a module's source, one at a time: each is a mutant that the conformance suite should catch."""

from __future__ import annotations

import ast
import difflib
from collections import Counter
from dataclasses import dataclass, replace

COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
SUMS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "//"), ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "+")}
WORDS = {ast.And: ("and", "or"), ast.Or: ("or", "and")}


@dataclass(frozen=True)
class Mutant:
    """One change. ``key`` names it as long as its function stays as it is, wherever in the file that stands."""

    file: str
    scope: str
    kind: str
    start: int
    end: int
    before: str
    after: str
    number: int = 1

    @property
    def key(self):
        """The name under which results are kept."""
        return f"{self.file}:{self.scope}:{self.kind}:{self.before} -> {self.after}#{self.number}"

    def applied(self, source):
        """Answer the source with the change."""
        return source[: self.start] + self.after + source[self.end :]

    def diff(self, source):
        """Answer the lines that differ."""
        lines = difflib.unified_diff(source.splitlines(), self.applied(source).splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


class Finder(ast.NodeVisitor):
    """Collects the mutants of one module. ``found`` are in the order of the source."""

    def __init__(self, file, source):
        self.file, self.source = file, source
        self.found = []
        self._scope = []
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    # -- where

    def visit_ClassDef(self, node):
        self._inside(node)

    def visit_FunctionDef(self, node):
        self._inside(node)

    def visit_AsyncFunctionDef(self, node):
        self._inside(node)

    def _inside(self, node):
        self._scope.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scope.pop()

    # -- what: nothing of annotations, decorators, defaults, docstrings and texts

    def visit_If(self, node):
        if "TYPE_CHECKING" in self._text(node.test):
            return
        self._negated(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self._negated(node.test)
        self.generic_visit(node)

    def visit_While(self, node):
        self.generic_visit(node)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_Compare(self, node):
        left = node.left
        for operation, right in zip(node.ops, node.comparators, strict=True):
            self._between(left, right, COMPARISONS.get(type(operation)), "comparison")
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node):
        self._between(node.left, node.right, SUMS.get(type(node.op)), "sum")
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, WORDS.get(type(node.op)), "word")
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            self._add("negation", *self._span(node), f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self._add("constant", *self._span(node), str(not node.value))
        elif isinstance(node.value, int | float):
            for step in (1, -1):
                self._add("constant", *self._span(node), str(node.value + step))

    def visit_JoinedStr(self, node):
        """Leave texts alone."""

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            return
        self._removed(node)
        self.generic_visit(node)

    def visit_Assign(self, node):
        if self._scope and not all(isinstance(target, ast.Name) for target in node.targets):
            self._removed(node)
        self.visit(node.value)

    def visit_AugAssign(self, node):
        self._removed(node)
        self.visit(node.value)

    def visit_Delete(self, node):
        self._removed(node)

    def visit_Raise(self, node):
        self._removed(node)

    def visit_Return(self, node):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._add("answer", *self._span(node), "return None")
            self.visit(node.value)

    # -- how

    def _negated(self, test):
        self._add("condition", *self._span(test), f"(not ({self._text(test)}))")

    def _removed(self, node):
        self._add("removal", *self._span(node), "pass")

    def _between(self, left, right, change, kind):
        if change is None:
            return
        start, end = self._span(left)[1], self._span(right)[0]
        between = self.source[start:end]
        if between.split() == change[0].split():  # no bracket nor comment between them
            at = start + between.index(change[0].split()[0])
            self._add(kind, at, start + len(between.rstrip()), change[1])

    def _span(self, node):
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def _at(self, line, column):
        begin = self._lines[line - 1]
        return begin + len(self.source[begin : self._lines[line]].encode()[:column].decode())

    def _text(self, node):
        start, end = self._span(node)
        return self.source[start:end]

    def _add(self, kind, start, end, after):
        before = " ".join(self.source[start:end].split())
        self.found.append(Mutant(self.file, ".".join(self._scope), kind, start, end, before, after))


def mutants_of(file, source):
    """Answer the mutants of a module that can be compiled, in the order of the source, each under a key of its own."""
    finder = Finder(file, source)
    finder.visit(ast.parse(source))
    numbers = Counter()
    mutants = []
    for mutant in sorted(finder.found, key=lambda one: (one.start, one.end, one.after)):
        numbers[mutant.key] += 1
        named = replace(mutant, number=numbers[mutant.key])
        if _compiles(named.applied(source)):
            mutants.append(named)
    return mutants


def _compiles(source):
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True
