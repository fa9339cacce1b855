"""What in a module breaks the rules of words: descriptions, names, and what a docstring has to say.

CONTRIBUTING.md states the rules. A finding is a line number and a sentence.
"""

import ast
import re
from collections.abc import Iterator

#: Words that a description may not start with: they say nothing of what a value is.
BARE = re.compile(r"(Of|That|As|Whose|Which|What|Where)\b")
#: Pointers to another description, in the place of the fact.
BACK_REFERENCE = re.compile(
    r"\b[Aa]s (there|above|below)\b|\bthere too\b|\b[Aa]rguments as\b|(^|[.:] )The same\.( |$)"
)
#: Words in the place of the field's own: reconstruct, workers, jump host, builder, report.
METAPHOR = re.compile(r"\b(mend(s|ed|ing)?|crews?|hops?|sheets?|told)\b", re.IGNORECASE)
#: Participles that do not end in -ed. Verbs of the same form (read, cut, put) are left out.
IRREGULAR = re.compile(
    r"bought|broken|brought|built|chosen|done|drawn|fed|felt|found|given|"
    r"gone|held|kept|known|laid|left|lost|made|meant|met|paid|said|seen|"
    r"sent|shown|spent|stood|taken|taught|thought|told|torn|understood|won|"
    r"written"
)
#: Nouns and verbs that end in -ed.
NO_PARTICIPLE = re.compile(r"(br|exc|f|n|proc|s|sp|w)eed|bed|embed|red|shed")
#: Words behind a participle that do not make it a noun: `given_by`.
PREPOSITIONS = {"by", "for", "from", "in", "of", "on", "to", "with"}
ARRAY = re.compile(r"\b(ndarray|NDArray)\b")
#: The word, or a tuple of sizes such as `(n, height, width, channels)` or `[samples, …]`.
SHAPE = re.compile(r"\bshapes?\b|\bscalar\b|\(\w+,\)|[(\[](\w+|…), ?[^()\[\]]*[)\]]")
#: `name: description` in a section of a docstring.
ENTRY = re.compile(r"\*{0,2}[\w, *]+: (.*)")
#: Errors that are no answer to a caller.
NO_ANSWER = re.compile(r"(NotImplementedError|AssertionError|SystemExit)\b")

Finding = tuple[int, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def findings(source: str) -> list[Finding]:
    """Return all that breaks a rule of words in the source of a module, by line."""
    tree = ast.parse(source)
    texts = [*docstrings(tree), *constants(source)]
    arrays = names_of_arrays(tree)
    found = [
        *(finding for text in texts for finding in in_text(*text)),
        *(
            (node.lineno, f"a class is named by a noun: {node.name}")
            for node in tree.body
            if isinstance(node, ast.ClassDef) and is_participle(node.name.lower())
        ),
        *(item for function in public_functions(tree) for item in in_function(function, arrays)),
    ]
    return sorted(found)


def public_names(source: str) -> list[str]:
    """Return the public classes and functions at the top of a module."""
    definitions = (ast.ClassDef, *FUNCTIONS)
    body = ast.parse(source).body
    return [n.name for n in body if isinstance(n, definitions) and not n.name.startswith("_")]


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Public functions of the module, and public methods of its public classes."""
    for node in tree.body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        if not getattr(node, "name", "_").startswith("_"):
            yield from (p for p in parts if isinstance(p, FUNCTIONS) and p.name[0] != "_")


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether the whole text describes one value: a string under a field."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            continue
        above: ast.stmt | None = None
        for part in node.body:
            text = part.value if isinstance(part, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield part.lineno, text.value, isinstance(above, ast.AnnAssign | ast.Assign)
            above = part


def constants(source: str) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it starts a description: the comments that begin with `#:`."""
    before = None
    for number, line in enumerate(source.splitlines(), 1):
        comment = re.match(r"\s*#: ?(.*)", line)
        if comment:
            yield number, comment[1], before is None
        before = comment


def in_text(start: int, text: str, is_description: bool) -> Iterator[Finding]:
    lines = list(enumerate(text.splitlines(), start))
    for number, line in [(start, text)] if is_description else described(lines):
        if BARE.match(line):
            yield number, f"a description starts with a noun: {line.splitlines()[0]}"
    for number, line in lines:
        words = line.strip()
        if BACK_REFERENCE.search(words):
            yield number, f"repeat the fact, or name the symbol: {words}"
        if METAPHOR.search(words):
            yield number, f"the field has a term of its own: {words}"
        if words == "Attributes:":
            yield number, "a string under each field describes it, no section `Attributes:`"


def described(lines: list[Finding]) -> Iterator[Finding]:
    """First lines of the descriptions below `Args:`, `Returns:` and `Yields:`."""
    section, indent = "", 0
    for number, line in lines:
        depth = len(line) - len(line.lstrip())
        if line.strip() in ("Args:", "Returns:", "Yields:"):
            section, indent = line.strip(), 0
        elif not line.strip() or depth < indent:
            section = ""
        elif section and indent in (0, depth):
            entry = ENTRY.match(line.strip())
            if section == "Args:" and entry:
                yield number, entry[1]
            elif section != "Args:" and indent == 0:
                yield number, line.strip()
            indent = depth


def is_participle(word: str) -> bool:
    return bool(IRREGULAR.fullmatch(word)) or (
        word.endswith("ed") and not NO_PARTICIPLE.fullmatch(word)
    )


def is_no_noun(name: str) -> bool:
    """Whether a name is a participle alone, such as `found` or `given_by`."""
    first, _, rest = name.partition("_")
    return is_participle(first) and (not rest or rest.split("_")[0] in PREPOSITIONS)


def in_function(function: Function, arrays: set[str]) -> Iterator[Finding]:
    line, docstring = function.lineno, ast.get_docstring(function) or ""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    # A state is rightly named by a participle: `cached: bool`.
    if is_no_noun(function.name) and written(function.returns) != "bool":
        yield line, f"a function is named by a verb, a property by a noun: {function.name}"
    for argument in given:
        if is_no_noun(argument.arg) and written(argument.annotation) != "bool":
            yield line, f"a parameter is named by a noun: {argument.arg} of {function.name}"

    types = " ".join(written(part.annotation) for part in given) + " " + written(function.returns)
    takes_arrays = ARRAY.search(types) or arrays & set(re.findall(r"\w+", types))
    if takes_arrays and not SHAPE.search(docstring):
        yield line, f"the shapes of its arrays are not said: {function.name}"

    # The docstring of a click command is its help text.
    is_command = any("command" in written(part) for part in function.decorator_list)
    if raises(function.body) and "Raises:" not in docstring and not is_command:
        yield line, f"it raises, and `Raises:` does not say what follows: {function.name}"


def written(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node)


def names_of_arrays(tree: ast.Module) -> set[str]:
    """Names that a module gives to types of arrays, such as `Array = npt.NDArray[Any]`."""
    named = [node for node in tree.body if isinstance(node, ast.Assign)]
    return {
        written(node.targets[0])
        for node in named
        if isinstance(node.value, ast.Subscript) and ARRAY.search(written(node.value))
    }


def raises(statements: list[ast.stmt]) -> bool:
    """Whether a function raises an error of its own; one that is passed on does not count."""
    for statement in statements:
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            continue
        if isinstance(statement, ast.Raise):
            error = written(statement.exc)
            if error and not NO_ANSWER.match(error):
                return True
        branches = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
        branches += [b.body for b in getattr(statement, "handlers", [])]
        branches += [b.body for b in getattr(statement, "cases", [])]
        if any(raises(branch) for branch in branches):
            return True
    return False
