# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values of a Python settings file, by looking at it. It is never executed.

Only what cannot have side effects and cannot take long is worked out: literals, arithmetic, names set before, the
environment, the number of CPUs, and a few functions on strings and paths.
"""

from __future__ import annotations

import ast
import operator
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import UNKNOWN

_NUMBERS = (int, float, complex)
_LONGEST = 1 << 16  # characters of a value, and of the file: Python 3.8 itself crashes on what nests deeper than that
_LARGEST = 1 << 63

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Not: lambda _nothing, value: not value,
    ast.USub: lambda _nothing, value: -value,
    ast.UAdd: lambda _nothing, value: +value,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (int, float, bool, len, min, max, round, abs)},
    "str": lambda value: str(_scalar(value)),
    "multiprocessing.cpu_count": os.cpu_count,
    "os.cpu_count": os.cpu_count,
    **{
        f"os.path.{function.__name__}": function
        for function in (posixpath.join, posixpath.dirname, posixpath.basename, posixpath.normpath)
    },
    # Not the module's own directory: the file's name is absolute already.
    "os.path.abspath": posixpath.normpath,
    "os.path.realpath": posixpath.normpath,
}
_METHODS = frozenset(["lower", "upper", "strip", "lstrip", "rstrip", "split", "startswith", "endswith", "get"])


class _Opaque(Exception):  # noqa: N818  # no error: an answer
    """Only running the file would tell."""


class _Reader(ast.NodeVisitor):
    """Follows the statements of a module in order and keeps what its names stand for."""

    def __init__(self, environment: Mapping[str, str], file: str) -> None:
        self.values: dict[str, Any] = {"__file__": file}
        self._imported: dict[str, str] = {}
        self._environment = environment
        self.star = False

    # --- statements -------------------------------------------------------------------------------------------------

    def run(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self._run(statement)

    def _run(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            if node.value is not None:
                value = self._value_or_unknown(node.value)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._assign(target, value)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node)
        elif isinstance(node, ast.If):
            self._if(node)
        elif isinstance(node, ast.With):
            self.run(node.body)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.values[node.name] = UNKNOWN
        else:
            self._forget(node)

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.values[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            known = isinstance(value, (tuple, list)) and len(value) == len(target.elts)
            for index, element in enumerate(target.elts):
                self._assign(element, value[index] if known else UNKNOWN)
        else:
            self._forget(target)  # `name[0] = x` changes what the name stands for

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.star = True
                self.values = {name: UNKNOWN for name in self.values}
            elif isinstance(node, ast.ImportFrom):
                self.values[alias.asname or alias.name] = UNKNOWN
                self._imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            else:
                name = alias.asname or alias.name.partition(".")[0]
                self._imported[name] = alias.name if alias.asname else name

    def _if(self, node: ast.If) -> None:
        condition = self._value_or_unknown(node.test)
        if condition is UNKNOWN:
            self._forget(node)
        else:
            self.run(node.body if condition else node.orelse)

    def _forget(self, node: ast.AST) -> None:
        """Every name that this may change is not known from here on."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                mutable = isinstance(self.values.get(inner.id), (list, dict))
                if mutable or isinstance(inner.ctx, ast.Store):
                    self.values[inner.id] = UNKNOWN
            elif isinstance(inner, (ast.Import, ast.ImportFrom)):
                self._import(inner)

    # --- expressions ------------------------------------------------------------------------------------------------

    def _value_or_unknown(self, node: ast.expr) -> Any:
        try:
            return self.visit(node)
        except _Opaque:
            return UNKNOWN
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            return UNKNOWN  # the app server would not start with it

    def generic_visit(self, node: ast.AST) -> Any:  # noqa: ARG002
        raise _Opaque

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        value = self.values.get(node.id, UNKNOWN)
        if value is UNKNOWN:
            raise _Opaque
        return value

    def visit_List(self, node: ast.List) -> Any:
        return [_scalar(self.visit(element)) for element in node.elts]

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(_scalar(self.visit(element)) for element in node.elts)

    def visit_Dict(self, node: ast.Dict) -> Any:
        pairs = [(key, value) for key, value in zip(node.keys, node.values) if key]  # as above
        return {_scalar(self.visit(key)): _scalar(self.visit(value)) for key, value in pairs}

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        return _bounded("".join(str(_scalar(self.visit(part))) for part in node.values))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        if node.format_spec is not None or node.conversion != -1:
            raise _Opaque
        return self.visit(node.value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self._operate(node.op, None, self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        numbers = isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)
        if not numbers and not isinstance(node.op, ast.Add):
            raise _Opaque  # "x" * 10 ** 9
        return self._operate(node.op, left, right)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        value = None
        for operand in node.values:
            value = self.visit(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def visit_Compare(self, node: ast.Compare) -> Any:
        left = self.visit(node.left)
        for op, operand in zip(node.ops, node.comparators):  # `strict` is newer than Python 3.8
            right = self.visit(operand)
            if not self._operate(op, left, right):
                return False
            left = right
        return True

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        subscript: Any = node.slice
        index = self.visit(subscript.value if type(subscript).__name__ == "Index" else subscript)  # Python 3.8
        return self._environment[index] if self._dotted(node.value) == "os.environ" else self.visit(node.value)[index]

    def visit_Call(self, node: ast.Call) -> Any:
        name = self._dotted(node.func)
        if node.keywords:
            raise _Opaque
        arguments = [self.visit(argument) for argument in node.args]
        if name in ("os.environ.get", "os.getenv"):
            return self._environment.get(*arguments)
        if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*arguments))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            return _bounded(getattr(self.visit(node.func.value), node.func.attr)(*arguments))
        raise _Opaque

    def _operate(self, op: ast.AST, left: Any, right: Any) -> Any:
        if type(op) not in _OPERATORS:
            raise _Opaque
        return _bounded(_OPERATORS[type(op)](left, right))

    def _dotted(self, node: ast.expr) -> str:
        """`mp.cpu_count` as "multiprocessing.cpu_count", by the file's own imports; "" for what is no such name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self._imported:
            return ".".join([self._imported[node.id], *reversed(parts)])
        return node.id if not parts and node.id not in self.values else ""


def _scalar(value: Any) -> Any:
    """Lists in lists can be small to write and endless to print."""
    if not isinstance(value, (str, int, float, bool, type(None))):
        raise _Opaque
    return value


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)) and len(value) > _LONGEST:
        raise _Opaque
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise _Opaque
    return value


def read_python_values(
    text: str, names: Iterable[str], *, environment: Mapping[str, str], file: str
) -> tuple[dict[str, Any], bool]:
    """(the names that the file sets, UNKNOWN for what only running it would tell; whether it may set others too).

    Raises ValueError when it is not Python that can be read.
    """
    if len(text) > _LONGEST:
        raise ValueError("larger than 64 KiB")
    try:
        reader = _Reader(environment, file)
        reader.run(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not Python that can be read: {error}") from None
    return {name: reader.values[name] for name in names if name in reader.values}, reader.star
