"""Records of logs as names and texts, decoded without Saigen: by `json` and the `evtx` package."""

import hashlib
import json
import struct


def read(path):
    """The records of a file, each with the place by which Saigen calls it."""
    if not path.endswith(".evtx"):
        yield from lines(path)
        return
    import evtx

    for record in evtx.PyEvtxParser(path).records_json():
        yield f"#{record['event_record_id']}", flat(unfold(json.loads(record["data"])["Event"]))


def lines(path):
    """The records of a file of JSON lines, each with the place of its first byte."""
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            text = line.strip()
            if text.startswith(b"{"):
                try:
                    yield f"@{offset + line.index(b'{')}", flat(json.loads(text))
                except ValueError:
                    pass
            offset += len(line)


def unfold(event):
    """The parts of an event log's record under the names that rules use."""
    fields = {}
    system = event.get("System") or {}
    for name, value in system.items():
        if isinstance(value, dict):
            for own, text in (value.get("#attributes") or {}).items():
                fields[f"{name}_{own}"] = text
            value = value.get("#text")
        if value is not None:
            fields[name] = value

    def walk(part):
        for name, value in part.items():
            if name in ("#attributes", "xmlns"):
                continue
            if name == "Data" and isinstance(value, dict):
                value = value.get("#text")
            if isinstance(value, dict):
                if "#text" in value:
                    fields.setdefault(name, value["#text"])
                walk(value)
            elif isinstance(value, list):
                # Several values of one name: SQL has no such thing, a break keeps them apart.
                fields.setdefault(name, "\n".join("" if v is None else str(v) for v in value))
            elif value is not None:
                fields.setdefault(name, value)

    for part in ("EventData", "UserData"):
        walk(event.get(part) or {})
    return fields


def flat(record):
    """One record as names and texts."""
    fields = {}
    for name, value in record.items():
        if value is None or isinstance(value, (dict, list)):
            continue
        fields[name] = ("true" if value else "false") if isinstance(value, bool) else str(value)
    # Rules of SigmaHQ write the names of a few logs (`New Value` of the virus scanner's) without
    # their spaces, and no published pipeline says so.
    for name in [name for name in fields if " " in name]:
        fields.setdefault(name.replace(" ", ""), fields[name])
    return fields


def content(fields):
    """What makes a record the same record in another file."""
    if "EventRecordID" not in fields:
        return json.dumps(fields, sort_keys=True)
    names = ("Computer", "Channel", "EventRecordID", "TimeCreated_SystemTime", "EventID")
    return tuple(fields.get(name) for name in names)


def time_of(fields):
    """When a record was written, as a text that sorts; empty where it does not say."""
    for name in ("TimeCreated_SystemTime", "@timestamp", "EventTime"):
        if name in fields:
            return fields[name]
    return ""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_of(path, offset):
    """The place of a record by the name that `read` gives it: in an event log its number, which
    stands eight bytes behind its beginning."""
    if not path.endswith(".evtx"):
        return f"@{offset}"
    with open(path, "rb") as file:
        file.seek(offset)
        magic, _, number = struct.unpack("<IIQ", file.read(16))
    return f"#{number}" if magic == 0x00002A2A else f"@{offset}"
