#!/usr/bin/env python3
"""What other ways to keep the same events cost: postcard, audit text, Parquet.

    saigen events JOURNAL_DIR | journal_peers.py

Postcard's wire form is written here from its specification: a number is a varint, a signed one its zigzag, a text
its length and bytes, an option one byte before its value, a word its number. Audit text is what auditd writes for such an event:
a SYSCALL record with its EXECVE, CWD and PATH, or SOCKADDR records; what audit has no record for is one line of
the same look. Parquet has a column a field and is written by pyarrow, in one row group. Needs: zstandard, pyarrow.
"""
import datetime, ipaddress, json, pathlib, struct, sys, tempfile

import pyarrow, pyarrow.parquet
import zstandard

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "reader"))
import wire
from wire import varint, zigzag

COMMON = {"ref", "seq", "time", "boot_us", "recorded", "recorded_us", "kind", "host", "boot", "source", "actor", "had", "extra"}


def text(value):
    return wire.text(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape"))


def option(value, put):
    return b"\x00" if value is None else b"\x01" + put(value)


def process(value):
    return varint(value["pid"]) + varint(value["start_us"]) + option(value.get("guid"), text)


def micros(event):
    return round(datetime.datetime.fromisoformat(event["time"]).timestamp() * 1e6)


def field(kind, value):
    if kind == "ProcessKey":
        return process(value)
    if kind == "Args<'a>":
        return varint(len(value)) + b"".join(map(text, value))
    if kind == "IpAddr":
        packed = ipaddress.ip_address(value).packed
        return varint(len(packed) == 16) + packed
    if kind in ("Hash32", "Guid"):
        return bytes.fromhex(value.replace("-", ""))
    if isinstance(value, str) and kind != "Text<'a>":
        return b"\x00"  # a word of a vocabulary: one byte
    if isinstance(value, (str, list, dict)):
        return text(value if isinstance(value, str) else json.dumps(value))
    return varint(zigzag(value)) if kind == "i64" else varint(value)


def postcard(event, kinds):
    code, fields = kinds[event["kind"]]
    out = varint(event["seq"]) + varint(zigzag(micros(event))) + option(event.get("boot_us"), varint)
    out += option(event.get("recorded"), text) + b"\x00" + option(event.get("actor"), process)
    out += text(event["host"]) + bytes.fromhex(event["boot"].replace("-", ""))
    out += text(json.dumps(event["had"]) if "had" in event else "") + text(json.dumps(event["extra"]) if "extra" in event else "")
    return out + varint(code) + b"".join(option(event.get(name), lambda v: field(kind, v)) for name, kind in fields)


CALLS = {"process.start": 59, "process.fork": 56, "process.exit": 231, "file.created": 257, "file.written": 257, "file.read": 257,
         "file.renamed": 82, "file.linked": 86, "file.deleted": 87, "file.attributes": 90, "file.mapped": 9,
         "network.connected": 42, "network.accepted": 288, "network.listening": 50, "process.credentials_changed": 105}


def quoted(value):
    """As audit does: in quotes, or in hex where a byte would end them."""
    raw = value.encode("utf-8", "surrogateescape")
    return raw.hex().upper() if any(b <= 32 or b == 34 or b > 126 for b in raw) else f'"{value}"'


def sockaddr(address, port):
    ip = ipaddress.ip_address(address)
    raw = struct.pack("<H", 2 if ip.version == 4 else 10) + struct.pack(">H", port or 0)
    return (raw + (ip.packed + bytes(8) if ip.version == 4 else bytes(4) + ip.packed + bytes(4))).hex().upper()


def audit(event):
    us = micros(event)
    stamp = f"msg=audit({us // 1000000}.{us // 1000 % 1000:03}:{event['seq']}):"
    pid, call = (event.get("actor") or {}).get("pid", 0), CALLS.get(event["kind"])
    if call is None:
        rest = " ".join(f"{k}={quoted(v) if isinstance(v, str) else json.dumps(v, separators=(',', ':'))}" for k, v in event.items() if k not in COMMON)
        return [f"type=USER_{event['kind'].split('.')[0].upper()} {stamp} pid={pid} op={event['kind'].split('.')[1]} {rest}"]
    image, uid, gid = event.get("image", "?"), event.get("uid", 0), event.get("gid", 0)
    ids = " ".join(f"{k}={event.get(k, uid if 'uid' in k else gid)}" for k in ("uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid"))
    success = "no" if event.get("outcome") == "failure" else "yes"
    parent = (event.get("parent") or {}).get("pid", 0)
    lines = [f"type=SYSCALL {stamp} arch=c000003e syscall={call} success={success} exit={event.get('code', 0)} a0=0 a1=0 a2=0 a3=0 items={2 if 'path' in event else 0} "
             f"ppid={parent} pid={pid} auid={event.get('login_uid', 4294967295)} {ids} tty=(none) ses={event.get('session', 4294967295)} "
             f"comm={quoted(image.rsplit('/', 1)[-1][:15])} exe={quoted(image)} subj=unconfined key=(null)"]
    if "args" in event:
        lines.append(f"type=EXECVE {stamp} argc={len(event['args'])} " + " ".join(f"a{n}={quoted(a)}" for n, a in enumerate(event["args"])))
    if "cwd" in event:
        lines.append(f"type=CWD {stamp} cwd={quoted(event['cwd'])}")
    for item, name in enumerate(n for n in (event.get("path"), event.get("to"), image if "args" in event else None) if n):
        lines.append(f"type=PATH {stamp} item={item} name={quoted(name)} inode={event.get('inode', 0)} dev=00:{event.get('dev', 0) & 0xff:02x} "
                     f"mode=0{event.get('mode', 0o100644):o} ouid={uid} ogid={gid} rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0")
    address = event.get("remote_ip") or event.get("local_ip")
    if address:
        lines.append(f"type=SOCKADDR {stamp} saddr={sockaddr(address, event.get('remote_port') or event.get('local_port'))}")
    if "args" in event:
        lines.append(f"type=PROCTITLE {stamp} proctitle={quoted(chr(0).join(event['args'])[:128])}")
    return lines


def parquet(events, level):
    names = dict.fromkeys(name for event in events for name in event if name not in ("ref", "seq", "time"))
    columns = {"wall_us": pyarrow.array(list(map(micros, events)))}
    for name in names:
        cells = [event.get(name) for event in events]
        try:
            columns[name] = pyarrow.array(cells)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
            columns[name] = pyarrow.array([None if cell is None else json.dumps(cell) for cell in cells])
    with tempfile.NamedTemporaryFile() as file:
        pyarrow.parquet.write_table(pyarrow.table(columns), file.name, compression="zstd", compression_level=level, write_statistics=False)
        return pathlib.Path(file.name).stat().st_size


def main():
    lines = sys.stdin.buffer.read()
    events, kinds = [json.loads(line) for line in lines.splitlines()], {
        name: (code, fields) for code, (name, fields) in wire.load_kinds().items()}
    packed = lambda data, level: len(zstandard.ZstdCompressor(level=level).compress(data))
    cards = b"".join(postcard(event, kinds) for event in events)
    records = "".join(line + "\n" for event in events for line in audit(event)).encode("utf-8", "surrogateescape")
    sizes = [("JSON lines, zstd -3", packed(lines, 3)), ("JSON lines, zstd -19", packed(lines, 19)),
             ("postcard", len(cards)), ("postcard, zstd -3", packed(cards, 3)),
             ("audit text", len(records)), ("audit text, zstd -19", packed(records, 19)),
             ("Parquet, zstd -3", parquet(events, 3)), ("Parquet, zstd -19", parquet(events, 19))]
    for name, size in sizes:
        print(f"{name:<24}{size / len(events):>9.2f} bytes an event")


if __name__ == "__main__":
    main()
