#!/usr/bin/env python3
"""Holds what `saigen hunt` finds against an independent implementation of Sigma.

The other implementation is pySigma with its SQLite backend and its published pipelines. Both get
the same recordings and the same rules; the script compares, rule by rule, which records fire.
pySigma's records come from `json` (files of JSON lines) or from the `evtx` package (event logs),
without our import, replay and field names.

    differential.py --saigen target/debug/saigen --rules sigma/rules/windows RECORDS…
    differential.py --saigen target/debug/saigen --rules sigma/rules/windows --minimal

RECORDS are files of JSON lines, event logs or folders with event logs. `--minimal` holds the
smallest events of `fixtures/differences` against both instead: with the rules that are kept there
ours must fire and the other must not. The script makes a virtual environment under `--venv` and
installs what it needs into it; where that cannot be done it says why and ends with 77, which test
harnesses take for "skipped".

It ends with 1 if a difference is left without a ground. A ground is checked record by record: the
field that fires the rule is filled into a copy of the record from what stands in the record under
another name, or in another record (whose place is printed with `--shown`); the other
implementation must then fire on the copy, and `fixtures/differences` must name the rule and ground.
"""

import argparse
import collections
import glob
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, "../../fixtures/differences")


def environment(path):
    """Puts pySigma on the path of modules; ends the program where it cannot be had."""
    python = os.path.join(path, "bin", "python3")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", path], check=True, capture_output=True)
        modules = "evtx, sigma.backends.sqlite, sigma.pipelines.sysmon, sigma.pipelines.windows"
        if subprocess.run([python, "-c", f"import {modules}"], capture_output=True).returncode != 0:
            packages = ["pysigma", "pysigma-backend-sqlite", "pysigma-pipeline-sysmon"]
            packages += ["pysigma-pipeline-windows", "evtx"]
            install = [python, "-m", "pip", "-q", "install", *packages]
            subprocess.run(install, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: pySigma cannot be installed: {error}")
        sys.exit(SKIPPED)
    os.execv(python, [python, os.path.abspath(__file__), "--inside", *sys.argv[1:]])


def ours(saigen, rules, paths):
    """What `saigen hunt` finds in files: for each rule the places of the records."""
    from records import place_of, sha256

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


def kept():
    """The differences that are kept: for each rule the grounds that stand with a smallest event."""
    grounds = collections.defaultdict(set)
    for case in cases():
        for rule in case["rules"]:
            grounds[rule].add(case["ground"])
    return grounds


def cases():
    """The cases of the fixtures, each with the file that it stands in."""
    for path in sorted(glob.glob(os.path.join(KEPT, "*.json"))):
        with open(path, encoding="utf-8") as file:
            fixture = json.load(file)
        for number, case in enumerate(fixture["cases"]):
            name = f"{os.path.basename(path)}, case {number + 1}"
            yield {"name": name, "ground": fixture["ground"], **case}


def compare(rules, by_place, mine, shown):
    """Prints the differences without a ground; returns a count of all results."""
    from grounds import Hosts
    from published import table_for
    from records import content

    table = table_for(rules)
    for (path, place), record in by_place.items():
        table.add(path, place, record)
    table.ready()
    counts = collections.Counter(rules=len(rules), records=len(by_place))
    identity = {place: content(fields) for place, fields in by_place.items()}
    hosts, known = Hosts(by_place), kept()
    for rule in sorted(rules.values(), key=lambda rule: rule.id):
        try:
            theirs = {tuple(place) for place in table.find(rule.conditions)}
        except (sqlite3.Error, re.error) as error:
            counts[f"rules that SQLite does not run: {type(error).__name__}"] += 1
            continue
        # A record that two files hold is one record.
        theirs = {identity[place]: place for place in theirs}
        mine_here = {identity.get(place, place): place for place in mine.get(rule.id, set())}
        both = theirs.keys() & mine_here.keys()
        counts["findings of both"] += len(both)
        counts["rules that fire"] += bool(theirs or mine_here)
        differing = sorted(theirs.keys() ^ mine_here.keys(), key=str)
        counts["rules that fire, all findings the same"] += bool(both) and not differing
        untold = 0
        for one in differing:
            place = mine_here.get(one) or theirs[one]
            record = by_place.get(place, {})
            who = "only saigen" if one in mine_here else "only pySigma"
            if one in mine_here:
                ground, by = explain(rule, place, record, hosts)
            else:
                ground, by = their_own(rule, record), place
            if ground and ground in known[rule.id]:
                counts[f"findings that differ, {who}, ground: {ground}"] += 1
                if shown:
                    print(f"KEPT {rule.id} {rule.title!r}: {ground} at {place}, told by {by}")
                continue
            untold += 1
            counts[f"findings that differ without a ground, {who}"] += 1
            if untold <= max(shown, 1):
                print(f"DIFFERENT {rule.id} {rule.title!r}: {who} at {place}; ground {ground}, {by}")
                print("  " + json.dumps({f: record.get(f) for f in sorted(rule.fields)})[:900])
        counts["rules that differ without a ground"] += bool(untold)
    return counts


def explain(rule, place, record, hosts):
    """The ground of a finding of ours: the weakest that the rule needs, and where it is told."""
    from grounds import fill, may_apply
    from published import Table

    filled, grounds = fill(record, place, hosts)
    if not may_apply(rule.category, record):
        return None, None

    def fires(fields):
        alone = Table()
        for name in rule.fields:
            alone.column(name)
        alone.add(*place, fields)
        return bool(alone.find(rule.bare))

    if fires(record):
        return "log beside the published tables", place
    own = {name for name, (ground, _) in grounds.items() if ground == "own words"}
    if fires({name: value for name, value in filled.items() if name in record or name in own}):
        return "own words", place
    if fires(filled):
        needed = sorted(str(by) for name, (_, by) in grounds.items() if name in rule.fields - own)
        return "record of the parent", ", ".join(needed)
    return None, None


def their_own(rule, record):
    """The ground of a finding that is the other's alone."""
    of = {"registry_delete": "Delete", "registry_add": "Create"}.get(rule.category)
    kind = record.get("EventType")
    if of and kind and not kind.startswith(of):
        return "a key that is made is not deleted"
    return None


def minimal(saigen, folder, rules):
    """Holds the smallest events of the kept differences against both; returns how many fail."""
    from published import table_for
    from records import read

    failed, held = 0, 0
    for case in cases():
        # The event that ours alone finds, or the one that the other alone finds.
        alone = case.get("only", "saigen")
        events = case["fires"] if alone == "saigen" else case["silent"]
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "records.jsonl")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in events)
            mine = ours(saigen, folder, [path])
            table = table_for(rules)
            for place, record in read(path):
                table.add(path, place, record)
        for rule in case["rules"]:
            held += 1
            if rule not in rules:
                print(f"{case['name']}: the rule {rule} is not there")
                failed += 1
                continue
            found = {"saigen": bool(mine.get(rule)), "pySigma": bool(table.find(rules[rule].conditions))}
            for who, fires in found.items():
                if fires != (who == alone):
                    word = "fires" if fires else "does not fire"
                    print(f"{case['name']}: {who} {word} {rules[rule].title!r}")
                    failed += 1
    print(f"{held} rules with their smallest events, {failed} failed")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saigen", required=True)
    parser.add_argument("--rules", required=True)
    parser.add_argument("--venv", default=os.path.join(os.path.expanduser("~"), ".cache", "saigen-pysigma"))
    parser.add_argument("--shown", type=int, default=0, help="differences of one rule that are shown")
    parser.add_argument("--minimal", action="store_true", help="the kept differences' own events")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("records", nargs="*")
    arguments = parser.parse_args()
    if not arguments.inside:
        environment(arguments.venv)
    from published import load
    from records import read

    if not arguments.minimal and not arguments.records:
        parser.error("records are needed, or --minimal")
    rules, left_out = load(arguments.rules)
    for reason, count in sorted(left_out.items()):
        print(f"{count} rules left out: {reason}")
    if arguments.minimal:
        sys.exit(1 if minimal(arguments.saigen, arguments.rules, rules) else 0)
    unplaced = sum(not rule.conditions for rule in rules.values())
    print(f"{unplaced} rules for logs that the published pipelines do not name")
    total = 0
    for group in arguments.records:
        paths = [group]
        if os.path.isdir(group):
            paths = sorted(glob.glob(os.path.join(glob.escape(group), "**", "*.evtx"), recursive=True))
        print(f"{os.path.basename(os.path.normpath(group))}:")
        by_place = {(path, at): record for path in paths for at, record in read(path)}
        mine = ours(arguments.saigen, arguments.rules, paths)
        counts = compare(rules, by_place, mine, arguments.shown)
        for what, count in sorted(counts.items()):
            print(f"{count:8} {what}")
        total += counts["rules that differ without a ground"]
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
