"""docs/CONFIGURATION.md: crm.app.v1.Config as its comments say it."""

import json
from pathlib import Path

from crmlib import containers, descriptors

PACKAGE, ROOT = "crm.app.v1", "crm.app.v1.Config"
JSON_TYPES = {"string": "text", "bool": "true / false", "int32": "number", "int64": "number", "double": "number"}


def text(binpb: Path) -> str:
    messages = descriptors.messages(binpb, PACKAGE)
    parts = ["""# Configuration

Made from the comments of `protos/crm/app/v1/config.proto` by `tools/crm manifests`. Each process reads one JSON file (`--config=FILE`) with
these fields; unknown ones stop its start, absent ones have the default that is named. Secrets are named by file.
"""]

    def table(name: str, path: str) -> None:
        message = messages[name]
        if path:
            parts.append(f"## {path}\n{message.comment}\n")
        parts.append("| field | type | what |\n|---|---|---|")
        parts.append("\n".join(f"| `{field.name}` | {kind(field)} | {' '.join(field.comment.split())} |" for field in message.fields) + "\n")
        for field in message.fields:
            if field.type in messages and not is_map(field):
                table(field.type, f"{path}.{field.name}" if path else field.name)

    def is_map(field: descriptors.Field) -> bool:
        return field.type.endswith("Entry") and field.repeated

    def kind(field: descriptors.Field) -> str:
        if is_map(field):
            return "{text: text}"
        if field.type in messages:
            return f"[object](#{field.name})"
        return ("list of " if field.repeated else "") + JSON_TYPES.get(field.type, field.type)

    table(ROOT, "")
    example = containers.serve(containers.Containers(), "contact", 10)
    parts.append(f"## An example\nThat of `contact` in a container:\n\n```json\n{json.dumps(example, indent=2)}\n```")
    return "\n".join(parts) + "\n"
