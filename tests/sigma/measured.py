#!/usr/bin/env python3
"""Writes the table of what the built-in rules find on recordings into `docs/DETECTION.md`.

    measured.py --saigen target/release/saigen --benign FOLDER… --labelled FOLDER…

Each file below a labelled folder is one recording of an attack; each benign folder is one machine
in ordinary use. The table says for each rule for Windows on how many recordings it fires, and how
often on the benign machines. Neither the recordings nor their names become part of the project.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def run(saigen, *arguments):
    output = subprocess.run([saigen, *arguments], capture_output=True, text=True)
    if output.returncode == 2:
        print(f"left out: {output.stderr.strip()[:200]}", file=sys.stderr)
        return ""
    return output.stdout


def hunt(saigen, path, rules):
    """How often each rule fires on an input."""
    from_folder = ["--no-built-in", "--rules", rules] if rules else []
    lines = run(saigen, "hunt", path, "--format", "jsonl", *from_folder).splitlines()
    return collections.Counter(json.loads(line)["rule"] for line in lines)


def files(folder):
    for place, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            yield os.path.join(place, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saigen", required=True)
    parser.add_argument("--rules", help="read the rules from here, not from the program")
    parser.add_argument("--benign", nargs="+", required=True)
    parser.add_argument("--labelled", nargs="+", required=True)
    arguments = parser.parse_args()

    listed = json.loads(run(arguments.saigen, "rules", "list", "--json"))["rules"]
    rules = [rule for rule in listed if rule["file"].startswith("windows/")]
    fires, recordings = collections.Counter(), 0
    found_nothing = 0
    for folder in arguments.labelled:
        for path in files(folder):
            recordings += 1
            found = hunt(arguments.saigen, path, arguments.rules)
            found_nothing += not found
            fires.update(found.keys())
    benign = collections.Counter()
    for folder in arguments.benign:
        benign.update(hunt(arguments.saigen, folder, arguments.rules))

    rows = [
        "| Rule | Level | Techniques | Recordings of attacks | Benign machines |",
        "|---|---|---|---:|---:|",
    ]
    for rule in sorted(rules, key=lambda rule: (-fires[rule["id"]], rule["title"])):
        if rule["level"] == "informational":
            continue
        title = rule["title"].replace("|", "\\|")
        cells = (title, rule["level"], ", ".join(rule["techniques"]))
        rows.append(f"| {' | '.join(cells)} | {fires[rule['id']]} | {benign[rule['id']]} |")
    summary = (
        f"On {recordings - found_nothing} of {recordings} recordings at least one rule fires.\n"
        f"Rules for Linux and of the level informational are left out.\n\n"
    )
    docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/DETECTION.md")
    with open(docs, encoding="utf-8") as file:
        text = file.read()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
    if not pattern.search(text):
        sys.exit(f"{docs} has no place for the table")
    table = BEGIN + summary + "\n".join(rows) + "\n" + END
    with open(docs, "w", encoding="utf-8") as file:
        file.write(pattern.sub(lambda _: table, text))


if __name__ == "__main__":
    main()
