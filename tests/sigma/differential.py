#!/usr/bin/env python3
"""Holds what `saigen hunt` finds against an independent implementation of Sigma.

The other implementation is pySigma with its SQLite backend. Both get the same recordings and the
same rules; the script compares, rule by rule, which records fire. pySigma's records come from
`json` (files of JSON lines) or from the `evtx` package (event logs), without our import, replay and
field names; channels of services and event ids of categories are pySigma's own tables.

    differential.py --saigen target/debug/saigen --rules sigma/rules/windows RECORDS…

RECORDS are files of JSON lines, event logs or folders with event logs. It makes a virtual
environment under `--venv` and installs what it needs into it; where that cannot be done it says why
and ends with 77, which test harnesses take for "skipped". It ends with 1 if a difference is left
that has no known ground.

Known grounds, each checked by the script and counted in the output:

  replay    a field of the rule is a fact of a process that this record lacks and other records tell
            (`ParentImage` of who wrote a file), so that the rule fires for us, or a filter of it holds.
"""

import argparse
import collections
import glob
import hashlib
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys

SKIPPED = 77

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = "Security"
POWERSHELL = ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")

# The taxonomy of the specification knows Sysmon's records alone for most categories. We hold the same
# rules against other logs that tell the same (docs/DETECTION.md, section 2), and so does this script.
CATEGORIES = {
    "process_creation": [(SECURITY, (4688,))],
    "process_termination": [(SECURITY, (4689,))],
    "process_access": [(SECURITY, (4656, 4663))],
    "network_connection": [(SECURITY, (5156, 5157))],
    "registry_set": [(SECURITY, (4657,))],
    "registry_event": [(SECURITY, (4657,))],
    "file_access": [(SECURITY, (4663,))],
    "file_delete": [(SYSMON, (26,))],
    "ps_script": [(channel, (4104,)) for channel in POWERSHELL],
    "ps_module": [(channel, (4103,)) for channel in POWERSHELL],
    "ps_classic_start": [("Windows PowerShell", (400,))],
    "ps_classic_provider_start": [("Windows PowerShell", (600,))],
}

# What we know of a process from its start alone, and hold against the rules of its later records.
KNOWN_BY_REPLAY = {
    "Image", "CommandLine", "CurrentDirectory", "User", "ParentImage", "ParentCommandLine",
    "ParentUser", "OriginalFileName", "IntegrityLevel", "SourceImage", "TargetImage",
}

# The record of a process's start in the security log, in the words of Sysmon.
ALIASES_4688 = {
    "Image": "NewProcessName",
    "ParentImage": "ParentProcessName",
    "User": "SubjectUserName",
}


def environment(path):
    """Puts pySigma on the path of modules; ends the program where it cannot be had."""
    python = os.path.join(path, "bin", "python3")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", path], check=True, capture_output=True)
        probe = [python, "-c", "import evtx, sigma.backends.sqlite, sigma.pipelines.sysmon"]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            packages = ["pysigma", "pysigma-backend-sqlite", "pysigma-pipeline-sysmon", "evtx"]
            install = [python, "-m", "pip", "-q", "install", *packages]
            subprocess.run(install, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: pySigma cannot be installed: {error}")
        sys.exit(SKIPPED)
    os.execv(python, [python, os.path.abspath(__file__), "--inside", *sys.argv[1:]])


def records(path):
    """The records of a file, each with the place by which we call it."""
    if not path.endswith(".evtx"):
        yield from lines(path)
        return
    import evtx

    for record in evtx.PyEvtxParser(path).records_json():
        yield f"#{record['event_record_id']}", unfold(json.loads(record["data"])["Event"])


def lines(path):
    """The records of a file of JSON lines, each with the place of its first byte."""
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            text = line.strip()
            if text.startswith(b"{"):
                try:
                    yield f"@{offset + line.index(b'{')}", json.loads(text)
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
    if fields.get("EventID") == "4688":
        for name, own in ALIASES_4688.items():
            if own in fields:
                fields.setdefault(name, fields[own])
    # Rules write the names of a few logs (`New Value`) without their spaces.
    for name in [name for name in fields if " " in name]:
        fields.setdefault(name.replace(" ", ""), fields[name])
    return fields


class Table:
    """All records in one table of SQLite; a column that no record has is added when a rule asks for it."""

    def __init__(self):
        self.database = sqlite3.connect(":memory:")
        self.database.create_function("REGEXP", 2, self.matches, deterministic=True)
        self.columns = {"at", "file"}
        self.database.execute("CREATE TABLE logs (file TEXT, at TEXT)")
        self.expressions = {}
        for name in ("Channel", "EventID", "EventType"):
            self.column(name)

    def matches(self, pattern, value):
        if value is None:
            return None
        if pattern not in self.expressions:
            self.expressions[pattern] = re.compile(pattern)
        return self.expressions[pattern].search(value) is not None

    def column(self, name):
        key = name.lower()
        if key not in self.columns:
            self.columns.add(key)
            quoted = name.replace('"', '""')
            # Sigma compares without case, and a number as its text.
            self.database.execute(f'ALTER TABLE logs ADD COLUMN "{quoted}" TEXT COLLATE NOCASE')

    def add(self, path, at, fields):
        """A record; of its fields those that some rule asks for."""
        names, values = ["file", "at"], [path, at]
        seen = {"file", "at"}
        for name, value in fields.items():
            key = name.lower()
            if key in seen or key not in self.columns:
                continue
            seen.add(key)
            names.append('"' + name.replace('"', '""') + '"')
            values.append(value)
        marks = ",".join("?" * len(names))
        self.database.execute(f"INSERT INTO logs ({','.join(names)}) VALUES ({marks})", values)

    def ready(self):
        """Rules are chosen by these two first."""
        self.database.execute("CREATE INDEX of_source ON logs (Channel, EventID)")

    def find(self, condition):
        """The places of the records that a condition holds for."""
        while True:
            try:
                rows = self.database.execute(f"SELECT file, at FROM logs WHERE {condition}")
                return set(rows)
            except sqlite3.OperationalError as error:
                missing = re.match(r"no such column: (.+)$", str(error))
                if not missing:
                    raise
                self.column(missing.group(1).strip('"'))


def source_condition(source):
    """The condition for a log source; None where the tables cannot say."""
    from sigma.pipelines.common import windows_logsource_mapping as services
    from sigma.pipelines.sysmon.sysmon import sysmon_generic_logsource_eventid_mapping as sysmon

    if source.product not in (None, "windows"):
        return None
    parts = []
    if source.category:
        ids = sysmon.get(source.category, ())
        pairs = [(SYSMON, ids if isinstance(ids, list) else [ids])] if ids else []
        pairs += CATEGORIES.get(source.category, [])
        if not pairs:
            return None
        of = [
            f"(Channel='{channel}' AND EventID IN ({','.join(repr(str(id)) for id in ids)}))"
            for channel, ids in pairs
        ]
        parts.append("(" + " OR ".join(of) + ")")
        if source.category == "registry_add":
            parts.append("EventType LIKE 'CreateKey'")
        if source.category == "registry_delete":
            parts.append("EventType LIKE 'Delete%'")
    if source.service:
        if source.service not in services:
            return None
        names = services[source.service]
        names = names if isinstance(names, list) else [names]
        parts.append(f"Channel IN ({','.join(repr(name) for name in names)})")
    return " AND ".join(parts) if parts else None


def load(folder):
    """The rules of a folder, by id, as conditions of SQL and the fields that they ask for."""
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    backend = sqliteBackend()
    rules, left_out = {}, collections.Counter()
    collection = SigmaCollection.load_ruleset([folder], collect_errors=True)
    for rule in collection.rules:
        logsource = getattr(rule, "logsource", None)
        if rule.errors or logsource is None:
            left_out["not read by pySigma"] += 1
            continue
        source = source_condition(logsource)
        if source is None:
            left_out["log source not in these records"] += 1
            continue
        try:
            queries = backend.convert_rule(rule)
        except (SigmaError, NotImplementedError) as error:
            left_out[f"not converted by pySigma: {type(error).__name__}"] += 1
            continue
        wheres = [query.split(" WHERE ", 1)[1] for query in queries]
        conditions = [f"({source}) AND ({where})" for where in wheres]
        fields = set()
        for part in rule.detection.detections.values():
            collect(part, fields)
        rules[str(rule.id)] = (rule.title, conditions, fields)
    return rules, left_out


def collect(part, fields):
    for item in getattr(part, "detection_items", []):
        if getattr(item, "field", None):
            fields.add(item.field)
        collect(item, fields)


def ours(saigen, rules, paths):
    """What `saigen hunt` finds in files: for each rule the places of the records."""
    told = subprocess.run([saigen, "info", *paths, "--json"], capture_output=True, text=True)
    hashes = {sha256(path): path for path in paths}
    evidence = json.loads(told.stdout)["evidence"]
    named = {one["id"]: hashes[one["sha256"]] for one in evidence if one["sha256"] in hashes}
    command = [saigen, "hunt", *paths, "--no-built-in", "--rules", rules, "--format", "jsonl"]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode not in (0, 1):
        sys.exit(f"saigen hunt: {output.stderr.strip()}")
    found = collections.defaultdict(set)
    for line in output.stdout.splitlines():
        detection = json.loads(line)
        place = re.search(r"^(e\d+):@(\d+)$", detection["evidence"][0])
        if place:
            path = named[place.group(1)]
            found[detection["rule"]].add((path, place_of(path, int(place.group(2)))))
    return found


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_of(path, offset):
    """The place of a record by the name that `records` gives it: in an event log its number, which
    stands eight bytes behind its beginning."""
    if not path.endswith(".evtx"):
        return f"@{offset}"
    with open(path, "rb") as file:
        file.seek(offset)
        magic, _, number = struct.unpack("<IIQ", file.read(16))
    return f"#{number}" if magic == 0x00002A2A else f"@{offset}"


def compare(rules, table, by_place, mine, shown):
    """Prints the differences without a known ground; returns a count of all results."""
    counts = collections.Counter(rules=len(rules))
    identity = {place: content(fields) for place, fields in by_place.items()}
    for rule, (title, conditions, fields) in sorted(rules.items()):
        theirs = set()
        try:
            for condition in conditions:
                theirs |= {tuple(place) for place in table.find(condition)}
        except (sqlite3.Error, re.error) as error:
            counts[f"rules that SQLite does not run: {type(error).__name__}"] += 1
            continue
        # A record that two files hold is one record.
        theirs = {identity[place]: place for place in theirs}
        mine_here = {identity.get(place, place): place for place in mine.get(rule, set())}
        both = theirs.keys() & mine_here.keys()
        counts["findings of both"] += len(both)
        counts["rules that fire"] += bool(theirs or mine_here)
        differing = sorted(theirs.keys() ^ mine_here.keys(), key=str)
        counts["rules that fire, all findings the same"] += bool(both) and not differing
        untold = 0
        for what in differing:
            place = mine_here.get(what) or theirs[what]
            record = by_place.get(place, {})
            names = {name.lower() for name in record}
            who = "only saigen" if what in mine_here else "only pySigma"
            lacking = sorted(f for f in fields & KNOWN_BY_REPLAY if f.lower() not in names)
            if lacking:
                counts[f"findings that differ by what the replay knows, {who}"] += 1
                if shown:
                    print(f"REPLAY {rule} {title!r}: {who}, {', '.join(lacking)} at {place}")
                continue
            untold += 1
            counts[f"findings that differ without a known ground, {who}"] += 1
            if untold <= shown:
                print(f"DIFFERENT {rule} {title!r}: {who} at {place}")
                print("  " + json.dumps({f: record.get(f) for f in sorted(fields)})[:900])
        counts["rules that differ without a known ground"] += bool(untold)
    return counts


def content(fields):
    """What makes a record the same record in another file."""
    if "EventRecordID" not in fields:
        return json.dumps(fields, sort_keys=True)
    names = ("Computer", "Channel", "EventRecordID", "TimeCreated_SystemTime", "EventID")
    return tuple(fields.get(name) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saigen", required=True)
    parser.add_argument("--rules", required=True)
    parser.add_argument("--venv", default=os.path.join(os.path.expanduser("~"), ".cache", "saigen-pysigma"))
    parser.add_argument("--shown", type=int, default=3, help="differences of one rule that are shown")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("records", nargs="+")
    arguments = parser.parse_args()
    if not arguments.inside:
        environment(arguments.venv)
    rules, left_out = load(arguments.rules)
    for reason, count in sorted(left_out.items()):
        print(f"{count} rules left out: {reason}")
    total = 0
    for group in arguments.records:
        paths = [group]
        if os.path.isdir(group):
            paths = sorted(glob.glob(os.path.join(glob.escape(group), "**", "*.evtx"), recursive=True))
        print(f"{os.path.basename(os.path.normpath(group))}:")
        table, by_place = Table(), {}
        for _, _, fields in rules.values():
            for field in fields:
                table.column(field)
        for path in paths:
            for place, record in records(path):
                by_place[path, place] = flat(record)
                table.add(path, place, by_place[path, place])
        table.ready()
        mine = ours(arguments.saigen, arguments.rules, paths)
        counts = compare(rules, table, by_place, mine, arguments.shown)
        counts["records"] = len(by_place)
        for what, count in sorted(counts.items()):
            print(f"{count:8} {what}")
        total += counts["rules that differ without a known ground"]
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
