"""Numbers, texts and kinds of events as docs/JOURNAL.md and docs/EVENTS.md write them, for programs in Python."""
import pathlib, re

HOUSE = pathlib.Path(__file__).parents[2]


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def zigzag(value):
    return value << 1 if value >= 0 else (-value << 1) - 1


def text(value):
    return varint(len(value)) + value


def load_kinds():
    """The table of kinds, from the source of docs/EVENTS.md: by code, the name and each field with its type."""
    source = (HOUSE / "schemas/src/event/kinds.rs").read_text()
    table = source[source.index("kinds! { 'a"):]
    kinds = {}
    for code, name, body in re.findall(r'(\d+) "([\w.]+)" \w+(?:<\'a>)? \{\n(.*?)\n    \}', table, re.S):
        kinds[int(code)] = (name, re.findall(r"^        (\w+): ([^\n]+?),$", body, re.M))
    return kinds
