"""Make mutants of a module: its source with one small change each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.arg)
"""Nodes that are not mutated, nor their children: messages, checks, and nodes without a position in the source."""


@dataclass(frozen=True)
class Mutant:
    """A mutant: `text` is the whole module, `changed` its changed line."""

    line: int
    changed: str
    text: str


def mutants(source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of lines."""
    raw = source.encode()
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = {}
    for node, new in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        text = (raw[:start] + new.encode() + raw[end:]).decode()
        changed = " ".join(text.splitlines()[node.lineno - 1].split())
        if changed == "pass":
            changed = f"pass  # {source.splitlines()[node.lineno - 1].strip()}"
        found[text] = Mutant(node.lineno, changed, text)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _changes(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield nodes and the source that replaces each. `inside`: within a function, whose numbers are mutated."""
    inside = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
    yield from _replacements(node, inside)
    if isinstance(node, SKIPPED):
        return
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in ("annotation", "returns", "decorator_list"):
                yield from _changes(child, inside)


def _replacements(node: ast.AST, inside: bool) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    said = ast.unparse
    match node:
        case ast.Compare(left, operators, rights):
            for place, operator in enumerate(operators):
                changed = [type(other)() for other in operators]
                changed[place] = COMPARISONS[type(operator)]()
                yield node, f"({said(ast.Compare(left, changed, rights))})"
        case ast.BinOp(left, operator, right) if inside and type(operator) in ARITHMETIC:
            yield node, f"({said(ast.BinOp(left, ARITHMETIC[type(operator)](), right))})"
        case ast.BoolOp(operator, values):
            for place in range(len(values)):
                left = [value for number, value in enumerate(values) if number != place]
                yield node, f"({said(ast.BoolOp(operator, left) if len(left) > 1 else left[0])})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield node, f"({said(operand)})"
        case ast.Constant(bool(value)):
            yield node, str(not value)
        case ast.Constant(int(value) | float(value)) if inside:
            yield node, repr(value + 1)
        case ast.Call(function, arguments, keywords):
            for keyword in keywords:
                yield node, said(ast.Call(function, arguments, [other for other in keywords if other is not keyword]))
        case ast.Return(ast.expr() as value) if said(value) != "None":
            yield node, "return None"
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Delete() | ast.Raise():
            yield node, "pass"
        case ast.If(test) | ast.While(test) | ast.IfExp(test) if not isinstance(test, ast.Compare):
            yield test, f"(not ({said(test)}))"
        case ast.comprehension(ifs=conditions):
            yield from ((condition, "True") for condition in conditions)
