"""Connect's and gRPC-Web's frames, and protobuf's wire format as far as errors need it."""

GRPC_CODES = ("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED "
              "FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED").split()


def envelope(text: bytes) -> bytes:
    return b"\0" + len(text).to_bytes(4, "big") + text


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found.append((data[0], data[5:5 + size]))
        data = data[5 + size:]
    return found


def wire_fields(data: bytes) -> dict[int, list[bytes]]:
    """The length-delimited fields of a message in protobuf's wire format; numbers are left out."""
    found: dict[int, list[bytes]] = {}

    def varint() -> int:
        nonlocal data
        value, shift = 0, 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while data:
        tag = varint()
        size = varint() if tag & 7 in (0, 2) else {1: 8, 5: 4}[tag & 7]
        if tag & 7 == 2:
            found.setdefault(tag >> 3, []).append(data[:size])
        if tag & 7 != 0:
            data = data[size:]
    return found
