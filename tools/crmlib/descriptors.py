"""The descriptor set (crm.binpb) read without protobuf's library, so that it needs no more than Python where a package is
unpacked: rpcs with who may call them, messages with their comments. Field numbers are those of descriptor.proto."""

import dataclasses
from pathlib import Path

ACCESS = 51001  # crm.type.v1.access
WHO = {1: "public", 2: "signed_in", 3: "service", 4: "right"}  # crm.type.v1.Access.who
MESSAGE_TYPE, FIELD_IN_MESSAGE, NESTED = 4, 2, 3  # parts of a path in SourceCodeInfo
TYPES = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 11: "message", 12: "bytes", 13: "uint32", 14: "enum"}


@dataclasses.dataclass(frozen=True)
class Rpc:
    package: str
    service: str
    name: str
    who: str  # "public", "signed_in", "service", "right"; "" if nothing is said

    @property
    def path(self) -> str:
        """As HTTP/2 carries it."""
        return f"/{self.package}.{self.service}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Field:
    name: str
    type: str  # of TYPES; the message's full name for messages
    repeated: bool
    comment: str


@dataclasses.dataclass(frozen=True)
class Message:
    name: str
    comment: str
    fields: tuple[Field, ...]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def parsed(data: bytes) -> dict[int, list]:
    """Field number -> values as they stand: numbers, or bytes."""
    found: dict[int, list] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {kind} is not used by descriptors")
        found.setdefault(tag >> 3, []).append(value)
    return found


def text(message: dict[int, list], number: int) -> str:
    return message[number][-1].decode() if number in message else ""


def files(path: Path) -> list[dict[int, list]]:
    return [parsed(file) for file in parsed(path.read_bytes()).get(1, [])]


def rpcs(path: Path) -> list[Rpc]:
    found = []
    for file in files(path):
        for service in map(parsed, file.get(6, [])):
            for method in map(parsed, service.get(2, [])):
                options = parsed(b"".join(method.get(4, [])))
                access = parsed(b"".join(options.get(ACCESS, [])))
                who = next((WHO[number] for number in access if number in WHO), "")
                found.append(Rpc(text(file, 2), text(service, 1), text(method, 1), who))
    return found


def messages(path: Path, package: str) -> dict[str, Message]:
    """Every message of the package by its full name, nested ones too; entries of maps are among them."""
    found: dict[str, Message] = {}
    for file in files(path):
        if text(file, 2) != package:
            continue
        comments = {}
        for location in map(parsed, parsed(b"".join(file.get(9, []))).get(1, [])):
            where = tuple(packed(b"".join(location.get(1, []))))
            comments[where] = "\n".join(line.strip() for line in text(location, 3).strip().splitlines())

        def walk(message: dict, prefix: str, where: tuple[int, ...]) -> None:
            name = f"{prefix}.{text(message, 1)}"
            fields = tuple(Field(text(field, 1), text(field, 6).removeprefix(".") or TYPES.get(field[5][0], "?"), field[4][0] == 3,
                                 comments.get((*where, FIELD_IN_MESSAGE, number), ""))
                           for number, field in enumerate(map(parsed, message.get(2, []))))
            found[name] = Message(name, comments.get(where, ""), fields)
            for number, nested in enumerate(map(parsed, message.get(3, []))):
                walk(nested, name, (*where, NESTED, number))

        for number, message in enumerate(map(parsed, file.get(4, []))):
            walk(message, package, (MESSAGE_TYPE, number))
    return found


def packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values
