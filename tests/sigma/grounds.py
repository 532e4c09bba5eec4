"""What other words, and other records, say of a record: why a rule may fire that its own fields do not fire.

Each way to fill a field is one *ground*. `fill` gives a copy of a record with the fields that rules
ask for under the names of the specification's taxonomy, and for each field its ground and the place
of the record that says it. A difference is explained if the other implementation, on the filled
copy, finds it too, and if that rule is kept with that ground in `fixtures/differences`.
"""

import bisect
import collections
import datetime

from records import time_of

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = "Security"

# Own words of a record for a field of the taxonomy: (channel, event id) to name and its source.
OWN_WORDS = {
    (SECURITY, "4688"): {
        "Image": "NewProcessName",
        "ParentImage": "ParentProcessName",
        "User": "SubjectUserName",
        "LogonId": "SubjectLogonId",
        "IntegrityLevel": "MandatoryLabel",
    },
    (SECURITY, "4689"): {"Image": "ProcessName", "User": "SubjectUserName"},
    (SECURITY, "4656"): {
        "SourceImage": "ProcessName",
        "TargetImage": "ObjectName",
        "GrantedAccess": "AccessMask",
    },
    (SECURITY, "4663"): {
        "SourceImage": "ProcessName",
        "TargetImage": "ObjectName",
        "GrantedAccess": "AccessMask",
        "Image": "ProcessName",
        "FileName": "ObjectName",
        "TargetFilename": "ObjectName",
    },
    (SECURITY, "4657"): {"Image": "ProcessName", "Details": "NewValue"},
}

# Logs that tell what a category of the taxonomy asks for, beside those of the published tables.
OTHER_LOGS = {
    "process_access": {(SECURITY, "4656"), (SECURITY, "4663")},
    "file_access": {(SECURITY, "4663")},
    "file_event": {(SECURITY, "4663")},
    "process_creation": {(SECURITY, "4688")},
    "process_termination": {(SECURITY, "4689")},
    "registry_set": {(SECURITY, "4657")},
    "registry_event": {(SECURITY, "4657")},
    "network_connection": {(SECURITY, "5156"), (SECURITY, "5157")},
    "file_delete": {(SYSMON, "26"), (SECURITY, "4663")},
}

# A host that was silent for longer may have given the pid to another process.
SILENT_HOURS = 6


class Hosts:
    """What records say of processes, by host: in the order of their times."""

    def __init__(self, by_place):
        self.starts = collections.defaultdict(list)
        self.heard = collections.defaultdict(list)
        self.by_guid = {}
        for place, record in by_place.items():
            host, at = record.get("Computer"), moment(record)
            if at is None:
                continue
            self.heard[host].append(at)
            own = what(record)
            if own == (SECURITY, "4688"):
                told = (number(record.get("NewProcessId")), record.get("NewProcessName"))
            elif own[0] == SYSMON:
                told = (number(record.get("ProcessId")), record.get("Image"))
            elif own[0] == SECURITY:
                told = (number(record.get("ProcessId")), record.get("ProcessName"))
            else:
                told = (None, None)
            if all(told):
                ends = own in ((SECURITY, "4689"), (SYSMON, "5"))
                begins = own in ((SECURITY, "4688"), (SYSMON, "1"))
                self.starts[host, told[0]].append((at, told[1], ends, begins, place))
            if own == (SYSMON, "1") and "ProcessGuid" in record:
                self.by_guid[host, record["ProcessGuid"]] = (record, place)
        for one in (*self.starts.values(), *self.heard.values()):
            one.sort(key=lambda row: row if isinstance(row, datetime.datetime) else (row[0], str(row[4])))

    def program(self, record, pid):
        """The program that had a pid when a record was written, and the record that says so."""
        host, at = record.get("Computer"), moment(record)
        told = self.starts.get((host, number(pid)), [])
        next_one = bisect.bisect_right([row[0] for row in told], at)
        if next_one > 0:
            when, image, ends, _, place = told[next_one - 1]
            if not ends and not self.was_silent(host, when, at):
                return image, place
        # What it did later names it as well, unless something else began under its pid by then.
        if next_one < len(told):
            when, image, _, begins, place = told[next_one]
            if not begins and not self.was_silent(host, at, when):
                return image, place
        return None

    def was_silent(self, host, since, until):
        heard = self.heard[host]
        first, last = bisect.bisect_left(heard, since), bisect.bisect_right(heard, until)
        steps = zip(heard[first:last], heard[first + 1 : last])
        return any((after - before).total_seconds() > SILENT_HOURS * 3600 for before, after in steps)


def number(pid):
    """A process id: the security log writes it with `0x`, Sysmon in decimal digits."""
    try:
        return int(pid, 0) if pid else None
    except ValueError:
        return None


def what(record):
    return (record.get("Channel"), str(record.get("EventID")))


def moment(record):
    text = time_of(record).replace("Z", "+00:00")
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)


def fill(record, place, hosts):
    """The record with the words of the taxonomy, and the ground of each field that was added."""
    filled, grounds = dict(record), {}

    def add(name, value, ground, by):
        if value is not None and name not in filled:
            filled[name] = value
            grounds[name] = (ground, by)

    for name, source in OWN_WORDS.get(what(record), {}).items():
        add(name, record.get(source), "own words", place)
    if what(record) == (SECURITY, "4688"):
        found = hosts.program(record, record.get("ProcessId"))
        if found:
            add("ParentImage", found[0], "record of the parent", found[1])
    if what(record) == (SYSMON, "1"):
        found = hosts.by_guid.get((record.get("Computer"), record.get("ParentProcessGuid")))
        if found:
            parent, by = found
            add("ParentUser", parent.get("User"), "record of the parent", by)
            add("ParentImage", parent.get("Image"), "record of the parent", by)
            add("ParentCommandLine", parent.get("CommandLine"), "record of the parent", by)
    return filled, grounds


def may_apply(category, record):
    """Whether the record is of a log that tells what a category asks for."""
    return what(record) in OTHER_LOGS.get(category, ()) or what(record)[0] == SYSMON
