"""What holds for every source: its size, and that it speaks of the product alone."""

import re

from lintlib.tree import Finding, Tree

LINES_MAX = 800
SIZED = (".cc", ".h", ".sql", ".py", ".mjs", ".js", ".ts", ".sh", ".proto", ".cmake")
TEXT = SIZED + (".md", ".txt", ".json", ".yaml", ".yml", ".conf", ".service", ".html", ".css")

# Places that exist on one machine or at one workplace only.
LOCAL = [
    (re.compile(r"(?<![\w.~$}/-])/(work|farm|root|Users|home)/(?!\*)[\w.]"), "a path of one machine", "make it relative to the checkout, or a setting"),
    (re.compile(r"\b(registry\.npmjs\.org|deb\.debian\.org|snapshot\.debian\.org|pypi\.org|files\.pythonhosted\.org)\b"),
     "the host of a package registry", "leave the host to apt's and npm's own settings (npm: omit-lockfile-registry-resolved)"),
]
LEFT_OVER = re.compile(r"\b(TODO|FIXME|HACK)\b")
# a ? b : co_await c, and a ? co_await b : c, over lines.
AWAITED_CHOICE = re.compile(r"\?[^;{}?]*[:?]\s*co_await\b|\?\s*co_await\b")
TENANT_SETTING = re.compile(r"\bset\s+(session\s+)?app\.", re.IGNORECASE)


def check(tree: Tree):
    for name in tree.files:
        if not name.endswith(TEXT) or name.startswith("tools/lintlib/") or name.startswith("tests/lint/"):
            continue
        lines = tree.text(name).splitlines()
        if name.endswith((".cc", ".h")):
            code = "\n".join(re.sub(r"//.*", "", line) for line in lines)
            for choice in AWAITED_CHOICE.finditer(code):
                number = code.count("\n", 0, choice.end()) + 1
                yield Finding(name, number, "awaits inside of ?:, which g++ 12 destroys twice", "declare the value first, then: if (...) value = co_await ...")
        if name.endswith(SIZED) and len(lines) > LINES_MAX:
            yield Finding(name, LINES_MAX + 1, f"has {len(lines)} lines; at most {LINES_MAX}", "split it where a second subject starts")
        for number, line in enumerate(lines, 1):
            for pattern, what, fix in LOCAL:
                if pattern.search(line):
                    yield Finding(name, number, f"names {what}", fix)
            if name.endswith((".cc", ".h", ".sql", ".py", ".proto")) and LEFT_OVER.search(line):
                yield Finding(name, number, "is unfinished by its own word", "finish it, or file an issue and say what holds today")
            if name.endswith((".cc", ".h", ".sql")) and not name.startswith("tests/") and TENANT_SETTING.search(line):
                yield Finding(name, number, "sets the tenant for a whole session", "select set_config('app.tenant', $1, true): it ends with the batch")
