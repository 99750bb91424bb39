"""The list of crates in a binary that `cargo auditable` has built.

It is in the section `.dep-v0` of the ELF file: JSON, compressed by zlib. Scanners of vulnerabilities read it, too.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

SECTION = b".dep-v0"
# Far above the list of any program.
MOST_BYTES = 8_000_000


class NotAuditable(RuntimeError):
    """A file without a list of its crates."""


def section(data: bytes, name: bytes) -> bytes:
    """The content of a section of an ELF file with 64 bits, little-endian."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise NotAuditable("it is not an ELF file with 64 bits")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, of_names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + number * size) for number in range(count)]
    names_begin = headers[of_names][4]
    for name_offset, _, _, _, begin, length in headers:
        begins = names_begin + name_offset
        if data[begins : data.index(b"\0", begins)] == name:
            return data[begin : begin + length]
    raise NotAuditable(f"it has no section {name.decode()}: build it by cargo auditable")


def crates(binary: Path) -> set[tuple[str, str]]:
    """The name and version of each crate that a binary says it was linked of, itself included."""
    packed = section(binary.read_bytes(), SECTION)
    listed = json.loads(zlib.decompressobj().decompress(packed, MOST_BYTES))["packages"]
    # Those with the kind `build` ran in the compiler or in build scripts.
    return {(one["name"], one["version"]) for one in listed if one.get("kind", "runtime") == "runtime"}
