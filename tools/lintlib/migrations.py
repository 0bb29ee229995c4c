"""Rules of the schema (ARCHITECTURE.md), checked on the migrations' text. An exception is a comment right above the
statement with the words `No tenant: <reason>` or `Inexact: <reason>`."""

import re

from lintlib.tree import Finding, Tree

FILE = re.compile(r"^(.+/migrations)/([^/]+)\.sql$")
NUMBERED = re.compile(r"^(\d{4})_[a-z][a-z0-9_]*$")
EXCEPTION = re.compile(r"\b(no tenant|inexact):[ \t]*\w", re.IGNORECASE)
TABLE = re.compile(r"^create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?([\w.\"]+)\s*\((.*)\)[^()]*(?:\([^()]*\)[^()]*)*$", re.IGNORECASE | re.DOTALL)
PARTITION = re.compile(r"^create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?\S+\s+partition\s+of\b", re.IGNORECASE)
INDEX = re.compile(r"^create\s+unique\s+index\s+.*?\bon\s+(?:only\s+)?[\w.\"]+\s*(?:using\s+\w+\s*)?\((.*)", re.IGNORECASE | re.DOTALL)
KEY = re.compile(r"\b(primary\s+key|unique(?:\s+nulls\s+not\s+distinct)?|foreign\s+key)\s*\(\s*\"?(\w+)", re.IGNORECASE)
COLUMN_KEY = re.compile(r"^\s*(?!(?:foreign|primary|unique|constraint|check|exclude|tenant_id)\b)\"?\w+\"?\s+[\w\s()\[\],]*?\b(primary\s+key|unique|references)\b(?!\s*\()", re.IGNORECASE)
# Anywhere in a statement: pattern, what is wrong, the fix.
FORBIDDEN = [
    (re.compile(r"\bcreate\s+(or\s+replace\s+)?(constraint\s+)?trigger\b", re.IGNORECASE), "makes a trigger", "write both rows in the handler's batch, or react to its event"),
    (re.compile(r"\bcreate\s+(or\s+replace\s+)?rule\b", re.IGNORECASE), "makes a rule", "write the statement in the handler's batch"),
    (re.compile(r"\btimestamp\b(?!\s*(\(\d\)\s*)?with\s+time\s+zone)", re.IGNORECASE), "uses timestamp without a time zone", "use timestamptz"),
    (re.compile(r"\b(timetz|time\s+with\s+time\s+zone)\b", re.IGNORECASE), "uses time with time zone", "use timestamptz, or time and the name of a zone"),
    (re.compile(r"\b(small|big)?serial\b", re.IGNORECASE), "uses serial", "use bigint generated always as identity"),
    (re.compile(r"\b(smallint|integer|int|int4|int2)\s+(not\s+null\s+)?generated\b", re.IGNORECASE), "numbers rows with less than a bigint", "use bigint"),
    (re.compile(r"\bdisable\s+row\s+level\s+security\b", re.IGNORECASE), "turns row-level security off", "leave it on: give the role a policy"),
    (re.compile(r"\bmoney\b(?=\s*(,|not|null|default|\)|$))", re.IGNORECASE), "uses the type money", "use numeric and a currency column"),
]
FLOAT = re.compile(r"\b(real|double\s+precision|float[48]?)\b", re.IGNORECASE)


def check(tree: Tree):
    numbers: dict[str, list[tuple[int, str]]] = {}
    for name in tree.matching(".sql"):
        match = FILE.match(name)
        if not match or name.startswith("tests/"):
            continue
        numbered = NUMBERED.match(match[2])
        if not numbered:
            yield Finding(name, 1, "is not named like 0001_what_it_makes.sql", "number it after the last migration of its folder")
            continue
        numbers.setdefault(match[1], []).append((int(numbered[1]), name))
        yield from check_text(name, tree.text(name))
    for folder, found in numbers.items():
        for expected, (number, name) in enumerate(sorted(found), 1):
            if number != expected:
                yield Finding(name, 1, f"has number {number:04d} where {expected:04d} comes next", "number the migrations without gaps or repeats")
                break


def check_text(name: str, text: str):
    for line, statement, comment in statements(text):
        for pattern, what, fix in FORBIDDEN:
            if match := pattern.search(statement):
                yield Finding(name, line + statement[:match.start()].count("\n"), what, fix)
        exceptions = {match[1].lower() for match in EXCEPTION.finditer(comment)}
        if "inexact" not in exceptions and (match := FLOAT.search(statement)) and re.match(r"(create|alter)\s+(unlogged\s+)?table", statement, re.IGNORECASE):
            yield Finding(name, line + statement[:match.start()].count("\n"), "has a floating-point column",
                          "use numeric; where the value is truly inexact, say why above: -- Inexact: <reason>")
        if "no tenant" not in exceptions:
            yield from check_keys(name, line, statement)


def check_keys(name: str, line: int, statement: str):
    hint = "put tenant_id first; where there is no tenant, say why above: -- No tenant: <reason>"
    if PARTITION.match(statement):
        return
    table = TABLE.match(statement)
    if table and not re.search(r"\bprimary\s+key\b", statement, re.IGNORECASE):
        yield Finding(name, line, f"table {table[1]} has no primary key", hint)
    if table or re.match(r"alter\s+table", statement, re.IGNORECASE):
        for match in KEY.finditer(statement):
            if match[2].lower() != "tenant_id":
                yield Finding(name, line + statement[:match.start()].count("\n"), f"{' '.join(match[1].lower().split())} starts with {match[2]}", hint)
    if table:
        body = table[2]
        offset = statement[:table.start(2)].count("\n")
        for number, part in enumerate(body.split("\n")):
            if match := COLUMN_KEY.match(part):
                yield Finding(name, line + offset + number, f"{match[1].lower()} on a single column", f"write it as a constraint of the table: {hint}")
    index = INDEX.match(statement)
    if index and not re.match(r"\s*\"?tenant_id\b", index[1], re.IGNORECASE):
        yield Finding(name, line, "unique index does not start with tenant_id", hint)


def statements(text: str):
    """(first line, statement without comments, the comment right above it) of each statement; dollar quotes are kept whole."""
    pattern = re.compile(r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|;|[^-/$';]+|.", re.DOTALL)
    statement, comment, start = "", "", 0
    for token in pattern.finditer(text):
        piece = token[0]
        if piece.startswith(("--", "/*")):
            if statement.strip():
                statement += "\n" * piece.count("\n")
            else:
                comment += piece + "\n"
        elif piece == ";":
            if statement.strip():
                yield start, statement.strip(), comment
            statement, comment = "", ""
        else:
            if not statement.strip():
                statement = ""
                stripped = piece.lstrip()
                start = text.count("\n", 0, token.start() + len(piece) - len(stripped)) + 1
                piece = stripped
                if not piece:
                    continue
            statement += piece
    if statement.strip():
        yield start, statement.strip(), comment
