"""How the code is written, counted: `python tests/measures.py` prints the table,
`project/test_style.py` holds the limits.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sources import Module, package, suite

COLUMNS = 100
MOST_PARAMETERS = 8
PUBLIC_IN_SPITE = {"_replace", "_asdict", "_fields", "_make", "_exit"}  # of tuples, and os._exit
COMPILED = re.compile(r"(?:numba\.)?(?:njit|jit|vectorize|guvectorize|intrinsic)\b")


@dataclass(frozen=True)
class Measures:
    """Counts over some modules."""

    lines: int
    code_lines: int
    parallel: tuple[str, ...]  # places of assignments ``a, b = x, y`` that are no swap
    inner_lines: int  # lines inside functions
    inner_blank: int
    wide: tuple[str, ...]  # places of lines over the limit
    skips: int  # comments that keep code from the formatter
    any_uses: int
    long_signatures: tuple[str, ...]  # functions outside compiled code with too many parameters
    names_twice: tuple[str, ...]  # public classes that several modules define
    private_uses: tuple[str, ...]  # places that reach for what another object or module hides

    @property
    def parallel_per_thousand(self) -> float:
        """Parallel assignments per 1,000 lines of code."""
        return 1000 * len(self.parallel) / max(1, self.code_lines)

    @property
    def blank_share(self) -> float:
        """Blank lines among the lines inside functions."""
        return self.inner_blank / max(1, self.inner_lines)


def measure(modules: Sequence[Module]) -> Measures:
    """Count over ``modules``."""
    lines = [line for module in modules for line in module.text.splitlines()]
    inner = [line for module in modules for line in function_lines(module)]
    classes = Counter(name for module in modules for name in public_classes(module))
    return Measures(
        lines=len(lines),
        code_lines=sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines),
        parallel=tuple(place for module in modules for place in parallel_assignments(module)),
        inner_lines=len(inner),
        inner_blank=sum(not line.strip() for line in inner),
        wide=tuple(place for module in modules for place in wide_lines(module)),
        skips=sum(bool(re.search(r"# fmt: ?(skip|off)", line)) for line in lines),
        any_uses=sum(uses_of_any(module) for module in modules),
        long_signatures=tuple(p for module in modules for p in long_signatures(module)),
        names_twice=tuple(sorted(name for name, n in classes.items() if n > 1)),
        private_uses=tuple(place for module in modules for place in private_uses(module)),
    )


def function_nodes(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, methods and inner ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def function_lines(module: Module) -> list[str]:
    """The lines inside functions, after their docstrings, each once."""
    inside: set[int] = set()
    for node in function_nodes(module.tree):
        body = node.body[1:] if ast.get_docstring(node) else node.body
        if body:
            inside |= set(range(body[0].lineno, (node.end_lineno or 0) + 1))
    text = module.text.splitlines()
    return [text[number - 1] for number in sorted(inside)]


def parallel_assignments(module: Module) -> Iterator[str]:
    """Places where a tuple of values is assigned to as many names, swaps aside."""
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Tuple) or len(target.elts) != len(node.value.elts):
            continue
        names = sorted(ast.unparse(name) for name in target.elts)
        if names != sorted(ast.unparse(value) for value in node.value.elts):
            yield module.where(node.lineno)


def wide_lines(module: Module) -> Iterator[str]:
    """Places of lines over the limit."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if len(line) > COLUMNS:
            yield module.where(number)


def uses_of_any(module: Module) -> int:
    """How often the type ``Any`` is written, imports aside."""
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(module.tree))


def long_signatures(module: Module) -> Iterator[str]:
    """Places of functions with too many parameters, those that numba compiles aside."""
    for node in function_nodes(module.tree):
        arguments = node.args
        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
        own = {argument.arg for argument in arguments.args} & {"self", "cls"}
        compiled = any(COMPILED.search(ast.unparse(d)) for d in node.decorator_list)
        if count - len(own) > MOST_PARAMETERS and not compiled:
            yield f"{module.where(node.lineno)} {node.name}"


def public_classes(module: Module) -> Iterator[str]:
    """Names of the classes that a module defines; the options of commands all have one name."""
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        if not (module.unit == "cli" and node.name == "Options"):
            yield node.name


def private_uses(module: Module) -> Iterator[str]:
    """Places of private names of others: read, imported, or replaced by their name."""
    for node in ast.walk(module.tree):
        for name in names_of_others(node):
            hidden = name.startswith("_") and not name.endswith("_")
            if hidden and name not in PUBLIC_IN_SPITE:
                yield f"{module.where(node.lineno)} {name}"


def names_of_others(node: ast.AST) -> list[str]:
    """The names in this node that belong to another object or module."""
    match node:
        case ast.Attribute(value=ast.Name("self" | "cls")):
            return []
        case ast.Attribute(attr=name):
            return [name]
        case ast.ImportFrom(names=aliases):
            return [alias.name for alias in aliases]
        case ast.Call(func=ast.Attribute(attr="setattr") | ast.Name("setattr"), args=given):
            texts = [each.value for each in given if isinstance(each, ast.Constant)]
            return [text.rpartition(".")[2] for text in texts if isinstance(text, str)]
    return []


def describe(measures: Measures) -> str:
    """The table, one count per line."""
    rows = {
        "lines": measures.lines,
        "parallel assignments per 1,000 lines": f"{measures.parallel_per_thousand:.2f}",
        "blank lines inside functions, %": f"{100 * measures.blank_share:.1f}",
        "lines over 100 columns": len(measures.wide),
        "kept from the formatter": measures.skips,
        "Any": measures.any_uses,
        "functions with more than 8 parameters": len(measures.long_signatures),
        "classes defined twice": ", ".join(measures.names_twice) or 0,
        "private names of others": len(measures.private_uses),
    }
    return "\n".join(f"{name:40} {value}" for name, value in rows.items())


if __name__ == "__main__":
    print("package\n" + describe(measure(package())))
    print("\ntests\n" + describe(measure(suite())))
