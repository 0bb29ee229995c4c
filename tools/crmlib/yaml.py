"""YAML as manifests need it, from dicts, lists, strings, numbers, booleans: a subset that any parser reads."""

import json
import re

PLAIN = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./${}()=-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}


def scalar(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return str(value)
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def block(text: str, indent: str) -> str:
    return "|" + ("" if text.endswith("\n") else "-") + "\n" + "\n".join(indent + line if line else "" for line in text.rstrip("\n").split("\n"))


def dump(value, indent: str = "") -> str:
    """Without the first line's indentation."""
    if isinstance(value, dict):
        if not value:
            return "{}"
        return f"\n{indent}".join(f"{scalar(key)}:{child(inner, indent + '  ')}" for key, inner in value.items())
    if isinstance(value, list):
        if not value:
            return "[]"
        return f"\n{indent}".join("- " + (block(item, indent + "  ") if is_text(item) else dump(item, indent + "  ")) for item in value)
    return scalar(value)


def is_text(value) -> bool:
    return isinstance(value, str) and "\n" in value


def child(value, indent: str) -> str:
    if is_text(value):
        return " " + block(value, indent)
    if isinstance(value, (dict, list)) and value:
        if all(not isinstance(inner, (dict, list)) and not is_text(inner) for inner in (value.values() if isinstance(value, dict) else value)):
            flow = ("{" + ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in value.items()) + "}" if isinstance(value, dict)
                    else "[" + ", ".join(map(scalar, value)) + "]")
            if len(flow) + len(indent) < 110:
                return " " + flow
        return f"\n{indent}{dump(value, indent)}"
    return " " + dump(value, indent)


def documents(values: list) -> str:
    return "---\n".join(dump(value) + "\n" for value in values)
