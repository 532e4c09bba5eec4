#!/usr/bin/env python3
"""Counts what the built-in rules find on recordings, for the table of `docs/DETECTION.md`.

    measured.py --saigen target/release/saigen [--data ../shared/data] [--bundled fixtures/bundled]

The rules are those of `analyzer/rules`. The recordings lie in archives below `--data`, and in `fixtures/bundled`. Each recording of an attack
(an event log, an export or a folder of journals) counts once for a rule that fires on it; on evidence
of ordinary use each finding counts. The counts are written to `tests/sigma/measured.json`, by rule;
neither the recordings nor their names become part of the project. Then
`SAIGEN_REWRITE=1 cargo test -p saigen-analyzer --test rules` writes the table. Where the data is not
there the script says so and ends with 77, which test harnesses take for "skipped".
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tarfile
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
GRAVE = ("medium", "high", "critical")

# Archives of event logs, each log one recording of an attack; folders whose files are one each.
LABELLED_ARCHIVES = ("evtx/evtx-attack-samples_dev.tar.xz", "evtx/evtx-to-mitre_dev.tar.xz")
LABELLED_FOLDERS = ("windows-json/atomic", "linux/auditd", "linux/log4shell", "linux/kunai")
LABELLED_ENDINGS = (".evtx", ".zip", ".tar.gz", ".json", ".jsonl", ".tar.xz")
BENIGN_ARCHIVES = ("evtx/machine_win10_benign.tar.xz",)
# Of the bundled journals, the one that holds no attack.
BUNDLED_BENIGN = "day"


def hunt(saigen, path):
    """How often each rule fires on an input, and whether one of medium or above does."""
    rules = ["--no-built-in", "--rules", os.path.join(ROOT, "analyzer/rules")]
    command = [saigen, "hunt", path, "--format", "jsonl", *rules]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode == 2:
        print("left out, not read: " + output.stderr.strip().split(":")[-1], file=sys.stderr)
        return collections.Counter(), False
    found = [json.loads(line) for line in output.stdout.splitlines()]
    return (
        collections.Counter(one["rule"] for one in found),
        any(one["level"] in GRAVE for one in found),
    )


def files(folder):
    for place, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.endswith(LABELLED_ENDINGS) and not name.endswith(".index.tsv"):
                yield os.path.join(place, name)


def unpack(archive, scratch):
    into = os.path.join(scratch, os.path.basename(archive))
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    return into


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saigen", required=True)
    parser.add_argument("--bundled", default=os.path.join(ROOT, "fixtures/bundled"))
    parser.add_argument("--data", default=os.path.join(ROOT, "../shared/data"))
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.data):
        print("skipped: the recordings are not there")
        sys.exit(SKIPPED)

    labelled, benign, told = collections.Counter(), collections.Counter(), collections.Counter()

    def attack(kind, path):
        counts, grave = hunt(arguments.saigen, path)
        labelled.update(counts.keys())
        told[f"{kind}, recordings"] += 1
        told[f"{kind}, with a finding of medium or above"] += grave

    def ordinary(kind, path):
        counts, _ = hunt(arguments.saigen, path)
        benign.update(counts)
        told[f"{kind}, findings"] += sum(counts.values())

    with tempfile.TemporaryDirectory() as scratch:
        for name in LABELLED_ARCHIVES:
            for path in files(unpack(os.path.join(arguments.data, name), scratch)):
                attack("event logs of attacks", path)
        for name in LABELLED_FOLDERS:
            kind = "Windows exports of attacks" if name.startswith("windows") else "Linux logs of attacks"
            for path in files(os.path.join(arguments.data, name)):
                attack(kind, path)
        for name in BENIGN_ARCHIVES:
            ordinary("a Windows machine in ordinary use", unpack(os.path.join(arguments.data, name), scratch))
    for name in sorted(os.listdir(arguments.bundled)):
        path = os.path.join(arguments.bundled, name)
        if name == BUNDLED_BENIGN:
            ordinary("a Linux machine in ordinary use", path)
        else:
            attack("journals of re-enacted attacks", path)

    rules = {
        rule: {"labelled": labelled[rule], "benign": benign[rule]}
        for rule in sorted(labelled.keys() | benign.keys())
    }
    with open(os.path.join(HERE, "measured.json"), "w", encoding="utf-8") as file:
        json.dump({"counts": dict(sorted(told.items())), "rules": rules}, file, indent=1)
        file.write("\n")
    for what, count in sorted(told.items()):
        print(f"{count:6} {what}")


if __name__ == "__main__":
    main()
