"""Rules as conditions of SQL, by pySigma, its SQLite backend and the published pipelines.

Which log a rule is held against, and what a field is called there, is said by the packages
`pysigma-pipeline-sysmon` and `pysigma-pipeline-windows` alone; nothing of it is Saigen's.
"""

import collections
import copy
import re
import sqlite3


class Rule:
    """A rule as the backend sees it."""

    def __init__(self, rule, conditions, bare, fields):
        self.id = str(rule.id)
        self.title = rule.title
        self.category = rule.logsource.category
        # With the log that a published pipeline names; empty where none names one.
        self.conditions = conditions
        # Of the fields alone, for any record.
        self.bare = bare
        self.fields = fields


def pipelines():
    """The published ways from a rule to a log: Sysmon's, the audit policy's, the channels'."""
    from sigma.pipelines.sysmon import sysmon_pipeline
    from sigma.pipelines.windows import windows_audit_pipeline, windows_logsource_pipeline

    channels = windows_logsource_pipeline()
    return [
        ("sysmon", sysmon_pipeline() + channels),
        ("audit", windows_audit_pipeline() + channels),
    ]


def load(folder):
    """The rules of a folder for Windows, by id, and how many were left out, by reason."""
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    ways = [(name, sqliteBackend(processing_pipeline=one)) for name, one in pipelines()]
    plain = sqliteBackend()
    rules, left_out = {}, collections.Counter()
    for rule in SigmaCollection.load_ruleset([folder], collect_errors=True).rules:
        source = getattr(rule, "logsource", None)
        if rule.errors or source is None:
            left_out["not read by pySigma"] += 1
            continue
        if source.product not in (None, "windows"):
            left_out["for another system"] += 1
            continue
        fields = set()
        for part in rule.detection.detections.values():
            collect(part, fields)
        try:
            bare = wheres(plain.convert_rule(copy.deepcopy(rule)))
        except (SigmaError, NotImplementedError) as error:
            left_out[f"not converted by pySigma: {type(error).__name__}"] += 1
            continue
        conditions = set()
        for _, backend in ways:
            try:
                conditions |= set(wheres(backend.convert_rule(copy.deepcopy(rule))))
            except SigmaError:
                # A pipeline refuses fields that its log does not have.
                continue
        # A condition without a log holds for none: the pipelines have no place for that source.
        conditions = {one for one in conditions if "Channel" in one}
        rules[str(rule.id)] = Rule(rule, sorted(conditions), bare, fields)
    return rules, left_out


def wheres(queries):
    return [query.split(" WHERE ", 1)[1] for query in queries]


def collect(part, fields):
    for item in getattr(part, "detection_items", []):
        if getattr(item, "field", None):
            fields.add(item.field)
        collect(item, fields)


class Table:
    """Records in one table of SQLite; a column that no record has is added when a rule asks for it."""

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

    def find(self, conditions):
        """The places of the records that one of the conditions holds for."""
        found = set()
        for condition in conditions:
            while True:
                try:
                    rows = self.database.execute(f"SELECT file, at FROM logs WHERE {condition}")
                    found |= set(rows)
                    break
                except sqlite3.OperationalError as error:
                    missing = re.match(r"no such column: (.+)$", str(error))
                    if not missing:
                        raise
                    self.column(missing.group(1).strip('"'))
        return found


# Names that the published pipelines use in place of a rule's own: all columns are there from the start.
OTHER_NAMES = (
    "NewProcessName",
    "ParentProcessName",
    "ProcessName",
    "ObjectName",
    "NewValue",
    "SubjectLogonId",
    "OperationType",
)


def table_for(rules):
    """An empty table with a column for each field of the rules."""
    table = Table()
    for name in OTHER_NAMES:
        table.column(name)
    for rule in rules.values():
        for field in rule.fields:
            table.column(field)
    return table
