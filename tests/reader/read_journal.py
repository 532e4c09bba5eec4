#!/usr/bin/env python3
"""A second reader of Saigen's journal, written from docs/JOURNAL.md alone, without a line of the first.

    read_journal.py JOURNAL_DIR [--key auditor.key | --public enrolment.pub] [--events]
    read_journal.py --proof record.proof --public enrolment.pub

Checks checksums, chain, positions, tags (--key) or signatures (--public), and the root over every frame's
events; prints one JSON line of counts, or the events (--events). Needs: zstandard, blake3, cryptography.
"""
import argparse, ipaddress, json, pathlib, struct, zlib

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire import HOUSE, load_kinds, text, varint, zigzag

HEADER = struct.Struct("<II4sBBHQQIII16sQqQ32s")
OF_EVENTS = struct.Struct("<qqQ32s")
DICTIONARY = zstandard.ZstdCompressionDict((HOUSE / "schemas/src/journal/dictionary.zdict").read_bytes())


def domain(name, *parts):
    joined = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return blake3(joined, derive_key_context="saigen journal v1 " + name).digest()


def derive(name, key):
    return blake3(key, derive_key_context="saigen journal v1 " + name).digest()


def leaf_of_event(salt, row):
    return blake3(salt + row + bytes(-len(salt + row) % 64), key=b"saigen journal v1 leaf of events").digest()


def leaf_of_frame(digest):
    return blake3(digest, key=b"saigen journal v1 leaf of frames").digest()


def node(left, right):
    return blake3(left + right, key=b"saigen journal v1 node of a tree").digest()


def root_of(leaves):
    while len(leaves) > 1:
        pairs = [leaves[i:i + 2] for i in range(0, len(leaves), 2)]
        leaves = [node(*p) if len(p) == 2 else p[0] for p in pairs]
    return leaves[0]


def decompress(payload, raw_len):
    """A payload's own header says whether it was made with the format's dictionary."""
    named = zstandard.get_frame_parameters(payload).dict_id
    assert named in (0, DICTIONARY.dict_id()), "payload of another dictionary"
    raw = zstandard.ZstdDecompressor(DICTIONARY if named else None).decompress(payload, max_output_size=raw_len)
    assert len(raw) == raw_len, "payload is not as long as the header says"
    return raw


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        if self.at + count > len(self.data):
            raise ValueError(f"payload is cut at byte {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.bytes(1)[0]
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    def column(self, count):
        form = self.bytes(1)[0]
        if form == 0:
            return [0] * count
        if form == 1:
            return [self.varint()] * count
        if form == 2:
            return [self.varint() for _ in range(count)]
        if form == 3:
            cells, before = [], 0
            for _ in range(count):
                before = (before + signed(self.varint())) % 2 ** 64
                cells.append(before)
            return cells
        low, middle, high = (self.bytes(count) for _ in range(3))
        cells = [a | b << 8 | c << 16 for a, b, c in zip(low, middle, high)]
        return [self.varint() if cell == 0xffffff else cell for cell in cells]


def signed(value):
    return (value >> 1) ^ -(value & 1)


class References:
    """0 is none, 1 the next entry that was not used before, else the entry's number and 2."""
    def __init__(self, entries):
        self.entries, self.next = entries, 0

    def resolve(self, cells):
        out = []
        for cell in cells:
            if cell == 1:
                self.next += 1
            out.append(None if cell == 0 else self.entries[self.next - 1 if cell == 1 else cell - 2])
        return out


def process(key):
    return varint(key[0]) + varint(key[1]) + (b"\x01" + key[2] if key[2] else b"\x00")


def column_class(kind):
    if kind == "ProcessKey":
        return "process"
    return "text" if kind in ("Text<'a>", "Args<'a>", "IpAddr", "Hash32", "Guid") else "number"


def read_events(payload, raw_len, count, kinds):
    raw = decompress(payload, raw_len)
    c = Cursor(raw)
    salt, base, offset = c.bytes(16), signed(c.varint()), signed(c.varint())
    total = c.varint()
    shared, suffix, texts, before = c.column(total), c.column(total), [], b""
    for common, length in zip(shared, suffix):
        before = before[:common] + c.bytes(length)
        texts.append(before)
    total = c.varint()
    pids, starts, guids = c.column(total), c.column(total), c.column(total)
    processes = [(pid, start, c.bytes(16) if guid else None) for pid, start, guid in zip(pids, starts, guids)]
    refs = {"text": References(texts), "process": References(processes)}
    code, wall, boot, recorded, source = (c.column(count) for _ in range(5))
    actor = refs["process"].resolve(c.column(count))
    host, boot_id, marks, extra = (refs["text"].resolve(c.column(count)) for _ in range(4))
    columns = {}
    for number in sorted(set(code)):
        present = code.count(number)
        columns[number] = []
        for field, kind in kinds[number][1]:
            cells, of = c.column(present), column_class(kind)
            columns[number].append(iter(cells if of == "number" else refs[of].resolve(cells)))
    assert c.at == len(raw), "bytes are left after the last column"
    now, events, leaves = base, [], []
    salts = blake3(salt).digest(length=16 * count)
    for j in range(count):
        now += signed(wall[j])
        boot_us = now - offset - signed(boot[j] - 1) if boot[j] else None
        recorded_us = now + signed(recorded[j] - 1) if recorded[j] else None
        row = varint(code[j]) + varint(zigzag(now))
        row += b"\x00" if boot_us is None else b"\x01" + varint(boot_us)
        row += b"\x00" if recorded_us is None else b"\x01" + varint(zigzag(recorded_us))
        row += varint(source[j]) + (b"\x01" + process(actor[j]) if actor[j] else b"\x00")
        row += b"".join(text(value or b"") for value in (host[j], boot_id[j], marks[j], extra[j]))
        event = {"kind": kinds[code[j]][0], "wall_us": now, "pid": actor[j] and actor[j][0]}
        for place, (field, kind) in enumerate(kinds[code[j]][1], 1):
            value = next(columns[code[j]][place - 1])
            of = column_class(kind)
            if value is None or (of == "number" and value == 0):
                continue
            value = value - 1 if of == "number" else value
            row += varint(place) + {"number": varint, "text": text, "process": process}[of](value)
            event[field] = show(kind, value)
        leaves.append(leaf_of_event(salts[16 * j:16 * j + 16], row + b"\x00"))
        events.append(event)
    return events, root_of(leaves)


def show(kind, value):
    if kind == "Args<'a>":
        return [part.decode("utf-8", "replace") for part in value.removesuffix(b"\0").split(b"\0")] if value else []
    if kind == "IpAddr":
        return str(ipaddress.ip_address(value))
    if kind == "ProcessKey":
        return {"pid": value[0], "start_us": value[1]}
    if kind in ("Hash32", "Guid"):
        return value.hex()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return signed(value) if kind == "i64" else value


def verify_key(public, message, signature):
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def up(leaf, index, count, path):
    """The root that a leaf and the nodes beside its way lead to (RFC 6962)."""
    path = list(path)
    while count > 1:
        if not (index % 2 == 0 and index + 1 == count):
            pair = (leaf, path.pop(0)) if index % 2 == 0 else (path.pop(0), leaf)
            leaf = node(*pair)
        index, count = index // 2, (count + 1) // 2
    assert not path, "the path is longer than the way"
    return leaf


def check_proof(data, enrolment, public):
    c = Cursor(data)
    number = lambda form: struct.unpack(form, c.bytes(struct.calcsize(form)))[0]
    nodes = lambda: [c.bytes(32) for _ in range(number("<H"))]
    assert c.bytes(16) == b"saigen proof v1\0" and c.bytes(16) == enrolment, "not a proof of this enrolment"
    index, salt = number("<I"), c.bytes(16)
    row, frame_path, header, payload = c.bytes(number("<I")), nodes(), c.bytes(172), c.bytes(32)
    segment_path, check_header, check = nodes(), c.bytes(116), c.bytes(144)
    fields, checked = HEADER.unpack_from(header), HEADER.unpack_from(check_header)
    leaf = leaf_of_event(salt, row)
    assert index < fields[8] and up(leaf, index, fields[8], frame_path) == header[140:172], "root of the frame"
    segment, of_key, first = struct.unpack_from("<IIQ", check)
    leaf = leaf_of_frame(domain("frame", header, payload))
    assert up(leaf, fields[6] - first, checked[6] - first, segment_path) == check[16:48], "root of the segment"
    steps = number("<I")
    for generation in range(1, steps + 1):
        new = c.bytes(32)
        verify_key(public, b"saigen succes v1" + enrolment + struct.pack("<I", generation) + new, c.bytes(64))
        public = new
    assert c.at == len(data) and of_key == steps and checked[4] == 9, "end of the proof"
    verify_key(public, b"saigen check v1\0" + enrolment + check_header + check[:80], check[80:])
    return {"position": fields[6], "index": index, "row": len(row), "signed_at": checked[6], "holds": True}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("journal", type=pathlib.Path, nargs="?")
    parser.add_argument("--proof", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path)
    parser.add_argument("--public", type=pathlib.Path)
    parser.add_argument("--events", action="store_true")
    args = parser.parse_args()
    if args.proof:
        held = json.loads(args.public.read_text())
        print(json.dumps(check_proof(
            args.proof.read_bytes(), bytes.fromhex(held["enrolment"]), bytes.fromhex(held["public_key"]))))
        return
    kinds, counts = load_kinds(), {"frames": 0, "events": 0, "tags": 0, "signatures": 0, "closed": False}
    key = position = chain = seq = recording = None
    public = bytes.fromhex(json.loads(args.public.read_text())["public_key"]) if args.public else None
    generation = 0
    for path in sorted(args.journal.glob("????????.saj")):
        data, at, digests, first = path.read_bytes(), 0, [], None
        while at < len(data):
            fields = HEADER.unpack_from(data, at)
            magic, content, signature, version, code, _, here, first_seq, events, size, raw_len, *_, before = fields
            assert (magic, signature) == (0x184d2a5e, b"SAJ\0"), f"{path.name} at {at}: no frame"
            assert version == 1, f"{path.name} at {at}: format version {version}, this program reads 1"
            assert content == (184 if code in (2, 4, 5, 6, 7, 8) else 128), f"{path.name} at {at}: length"
            head = data[at:at + content + 8]
            payload = data[at + content + 8:at + content + 8 + size]
            assert zlib.crc32(head[:-4] + payload) == struct.unpack("<I", head[-4:])[0], f"{path.name} at {at}: checksum"
            digested, tag = head[:-20], head[-20:-4]
            if code == 1:
                opening = json.loads(decompress(payload, raw_len))
                first = here
            if position is None:
                enrolment, position, seq = bytes.fromhex(opening["enrolment"]), here, first_seq
                recording, chain = opening["recording"], domain("chain start", enrolment)
                if args.key:
                    key = derive("first frame key", bytes.fromhex(json.loads(args.key.read_text())["secret"]))
                    for _ in range(position):
                        key = derive("next frame key", key)
            assert here == position and first_seq == seq, f"{path.name} at {at}: position {here}, {position} expected"
            assert before == chain, f"{path.name} at {at}: chain before the frame"
            digest = domain("frame", digested, domain("payload", payload))
            number = struct.pack("<Q", position)
            if key:
                assert blake3(before + number + digest, key=key).digest()[:16] == tag, f"{path.name} at {at}: tag"
                key, counts["tags"] = derive("next frame key", key), counts["tags"] + 1
            if code == 1:
                assert opening["recording"] == recording, f"{path.name}: of another recording"
                steps = opening.get("successions", [])
                if public:
                    assert opening["generation"] - len(steps) == generation, f"{path.name}: keys are missing"
                    for step in steps:
                        generation, new = generation + 1, bytes.fromhex(step["public_key"])
                        message = b"saigen succes v1" + enrolment + struct.pack("<I", generation) + new
                        verify_key(public, message, bytes.fromhex(step["signature"]))
                        public = new
            if code == 9:
                check = decompress(payload, 144)
                segment, of_key, begins = struct.unpack_from("<IIQ", check)
                assert (segment, begins) == (opening["segment"], first), f"{path.name} at {at}: segment of the checkpoint"
                assert check[16:48] == root_of(list(map(leaf_of_frame, digests))), "root of the segment"
                if public:
                    assert of_key == generation, f"{path.name} at {at}: key of the checkpoint"
                    verify_key(public, b"saigen check v1\0" + enrolment + digested + check[:80], check[80:])
                    counts["signatures"] += 1
            if events:
                first_us, last_us, present, root = OF_EVENTS.unpack_from(digested, HEADER.size)
                read, found = read_events(payload, raw_len, events, kinds)
                assert root == found, f"{path.name} at {at}: root of the events"
                times = [event["wall_us"] for event in read]
                assert (first_us, last_us) == (min(times), max(times)), f"{path.name} at {at}: times"
                codes = {number for number, (name, _) in kinds.items() if any(e["kind"] == name for e in read)}
                assert present == sum(1 << number for number in codes), f"{path.name} at {at}: kinds"
                counts["events"] += len(read)
                if args.events:
                    for event in read:
                        print(json.dumps(event))
            chain = domain("chain", chain, number, digest, tag)
            digests.append(digest)
            counts["frames"] += 1
            counts["closed"] = code == 10 or (code == 9 and counts["closed"])
            position, seq, at = position + 1, seq + events, at + content + 8 + size
    if not args.events:
        print(json.dumps(counts))


if __name__ == "__main__":
    main()
