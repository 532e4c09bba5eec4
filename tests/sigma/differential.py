#!/usr/bin/env python3
"""Holds what `saigen hunt` finds against an independent implementation of Sigma.

The other implementation is pySigma with its SQLite backend. Both get the same JSON lines with
Windows records, and the same rules; the script compares, rule by rule, which records fire. pySigma
reads the records as they stand in the file, without our import, replay and field names.

    differential.py --saigen target/debug/saigen --rules sigma/rules/windows RECORDS.json…

It makes a virtual environment under `--venv` and installs pySigma into it; where that cannot be
done it says why and ends with 77, which test harnesses take for "skipped". It ends with 1 if a
difference is left that has no known ground.

Known grounds, each checked by the script and counted in the output:

  replay    a field of the rule is not in the record; we know it from other records (`ParentImage` of
            who wrote a file), so that the rule fires for us, or a filter of it holds.
  absent    pySigma's SQL takes a missing field for a text that does not fit `!=`; the rule asks for
            a field that the record lacks.
"""

import argparse
import collections
import json
import os
import re
import sqlite3
import subprocess
import sys

SKIPPED = 77

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = "Security"
POWERSHELL = ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")

# Categories of Sigma: channel and event ids, as SigmaHQ's taxonomy has them.
CATEGORIES = {
    "process_creation": [(SYSMON, (1,)), (SECURITY, (4688,))],
    "file_change": [(SYSMON, (2,))],
    "network_connection": [(SYSMON, (3,))],
    "process_termination": [(SYSMON, (5,))],
    "driver_load": [(SYSMON, (6,))],
    "image_load": [(SYSMON, (7,))],
    "create_remote_thread": [(SYSMON, (8,))],
    "raw_access_thread": [(SYSMON, (9,))],
    "process_access": [(SYSMON, (10,))],
    "file_event": [(SYSMON, (11,))],
    "registry_add": [(SYSMON, (12,))],
    "registry_delete": [(SYSMON, (12,))],
    "registry_set": [(SYSMON, (13,)), (SECURITY, (4657,))],
    "registry_rename": [(SYSMON, (14,))],
    "registry_event": [(SYSMON, (12, 13, 14)), (SECURITY, (4657,))],
    "create_stream_hash": [(SYSMON, (15,))],
    "pipe_created": [(SYSMON, (17, 18))],
    "wmi_event": [(SYSMON, (19, 20, 21))],
    "dns_query": [(SYSMON, (22,))],
    "file_delete": [(SYSMON, (23, 26))],
    "process_tampering": [(SYSMON, (25,))],
    "ps_script": [(channel, (4104,)) for channel in POWERSHELL],
    "ps_module": [(channel, (4103,)) for channel in POWERSHELL],
}

SERVICES = {
    "security": [SECURITY],
    "system": ["System"],
    "application": ["Application"],
    "sysmon": [SYSMON],
    "powershell": list(POWERSHELL),
    "powershell-classic": ["Windows PowerShell"],
    "taskscheduler": ["Microsoft-Windows-TaskScheduler/Operational"],
    "wmi": ["Microsoft-Windows-WMI-Activity/Operational"],
    "windefend": ["Microsoft-Windows-Windows Defender/Operational"],
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
        probe = [python, "-c", "import sigma.backends.sqlite"]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            install = [python, "-m", "pip", "-q", "install", "pysigma", "pysigma-backend-sqlite"]
            subprocess.run(install, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: pySigma cannot be installed: {error}")
        sys.exit(SKIPPED)
    os.execv(python, [python, os.path.abspath(__file__), "--inside", *sys.argv[1:]])


def records(path):
    """The records of a file of JSON lines, each with the place of its first byte."""
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            text = line.strip()
            if text.startswith(b"{"):
                try:
                    yield offset + line.index(b"{"), json.loads(text)
                except ValueError:
                    pass
            offset += len(line)


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
    return fields


class Table:
    """All records in one table of SQLite; a column that no record has is added when a rule asks for it."""

    def __init__(self):
        self.database = sqlite3.connect(":memory:")
        self.database.create_function("REGEXP", 2, self.matches, deterministic=True)
        self.columns = {"at"}
        self.database.execute("CREATE TABLE logs (at TEXT)")
        self.expressions = {}

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

    def add(self, at, fields):
        names, values = ["at"], [at]
        seen = {"at"}
        for name, value in fields.items():
            if name.lower() in seen:
                continue
            seen.add(name.lower())
            self.column(name)
            names.append('"' + name.replace('"', '""') + '"')
            values.append(value)
        marks = ",".join("?" * len(names))
        self.database.execute(f"INSERT INTO logs ({','.join(names)}) VALUES ({marks})", values)

    def find(self, condition):
        """The places of the records that a condition holds for."""
        while True:
            try:
                rows = self.database.execute(f"SELECT at FROM logs WHERE {condition}")
                return {row[0] for row in rows}
            except sqlite3.OperationalError as error:
                missing = re.match(r"no such column: (.+)$", str(error))
                if not missing:
                    raise
                self.column(missing.group(1).strip('"'))


def source_condition(source):
    """The condition for a log source; None where the table cannot say."""
    if source.product not in (None, "windows"):
        return None
    parts = []
    if source.category:
        if source.category not in CATEGORIES:
            return None
        of = [
            f"(Channel='{channel}' AND EventID IN ({','.join(repr(str(id)) for id in ids)}))"
            for channel, ids in CATEGORIES[source.category]
        ]
        parts.append("(" + " OR ".join(of) + ")")
        if source.category == "registry_add":
            parts.append("EventType LIKE 'CreateKey'")
        if source.category == "registry_delete":
            parts.append("EventType LIKE 'Delete%'")
    if source.service:
        if source.service not in SERVICES:
            return None
        names = ",".join(repr(name) for name in SERVICES[source.service])
        parts.append(f"Channel IN ({names})")
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


def ours(saigen, rules, path):
    """What `saigen hunt` finds in a file: for each rule the places of the records."""
    command = [saigen, "hunt", path, "--no-built-in", "--rules", rules, "--format", "jsonl"]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode not in (0, 1):
        sys.exit(f"saigen hunt: {output.stderr.strip()}")
    found = collections.defaultdict(set)
    for line in output.stdout.splitlines():
        detection = json.loads(line)
        place = re.search(r"@(\d+)$", detection["evidence"][0])
        if place:
            found[detection["rule"]].add(place.group(1))
    return found


def compare(rules, table, by_place, mine):
    """Prints the differences; returns how many have no known ground."""
    grounds, unknown, same, fired = collections.Counter(), 0, 0, 0
    for rule, (title, conditions, fields) in sorted(rules.items()):
        theirs = set()
        try:
            for condition in conditions:
                theirs |= table.find(condition)
        except (sqlite3.Error, re.error) as error:
            grounds[f"not run by SQLite: {type(error).__name__}"] += 1
            continue
        mine_here = mine.get(rule, set())
        same += len(theirs & mine_here)
        fired += bool(theirs or mine_here)
        for at in sorted(theirs ^ mine_here, key=int):
            names = {name.lower() for name in by_place.get(at, {})}
            absent = sorted(field for field in fields if field.lower() not in names)
            if absent:
                grounds["replay" if at in mine_here else "absent"] += 1
                continue
            unknown += 1
            who = "only saigen" if at in mine_here else "only pySigma"
            print(f"DIFFERENT {rule} {title!r}: {who} at @{at}")
            if unknown <= 20:
                print("  " + json.dumps({f: by_place[at].get(f) for f in sorted(fields)})[:600])
    print(f"{len(rules)} rules compared, {fired} fired, {same} findings of both the same")
    for ground, count in sorted(grounds.items()):
        print(f"{count} differences with the known ground: {ground}")
    print(f"{unknown} differences without a known ground")
    return unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saigen", required=True)
    parser.add_argument("--rules", required=True)
    parser.add_argument("--venv", default=os.path.join(os.path.expanduser("~"), ".cache", "saigen-pysigma"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("records", nargs="+")
    arguments = parser.parse_args()
    if not arguments.inside:
        environment(arguments.venv)
    rules, left_out = load(arguments.rules)
    for reason, count in sorted(left_out.items()):
        print(f"{count} rules left out: {reason}")
    unknown = 0
    for path in arguments.records:
        print(f"{os.path.basename(path)}:")
        table, by_place = Table(), {}
        for offset, record in records(path):
            by_place[str(offset)] = flat(record)
            table.add(str(offset), by_place[str(offset)])
        unknown += compare(rules, table, by_place, ours(arguments.saigen, arguments.rules, path))
    sys.exit(1 if unknown else 0)


if __name__ == "__main__":
    main()
