//! The commands, their options and their help.

use super::words::{Shape, Word};
use crate::install;

/// Before the commands, in the help.
pub(super) const ABOUT: &str = "\
Records what happens on this machine into a journal that cannot be quietly changed

It works from user mode alone: no kernel module, no eBPF, nothing that programs must wait
for. Journals are read by `saigen`, on any machine; nothing is sent anywhere.

Usage: saigen-collector COMMAND [OPTIONS]
";

/// After the commands, in the help.
pub(super) const EXAMPLES_AND_CODES: &str = "\
Options:
  -h, --help     Print this; COMMAND --help says more
  -V, --version  Print the version

Examples:
  Make the keys of an enrolment; keep auditor.key away from the endpoint:
      saigen-collector keygen -o keys

  Record the whole system for an hour, sealed:
      saigen-collector record -o journal --key keys/endpoint.key --for 1h

  Record one command and all that it starts, and end with its status:
      saigen-collector record -o journal -- make

  Write down the state of this machine:
      saigen-collector snapshot -o state

Exit codes:
  0  done
  2  not done; one line on stderr says what, where, and what to do
  record -- COMMAND ends with the command's own status, 128 and the signal if one ended it";

const JSON: Word = Word::flag("json", "Print JSON");

/// Where a command writes to, by one name and one letter in all of them.
const fn output(value: &'static str, help: &'static str) -> Word {
    Word::one("output", value, help).or('o')
}

const JOURNAL: Option<(&str, &str)> = Some(("DIR", "The directory of the journal"));

pub(super) const INSTALL: Shape = Shape {
    name: "install",
    about: "Write a unit of systemd that records from the next boot on",
    more: "\
The unit gives the recorder what it needs and nothing more; each start makes a journal of its own.
An existing unit is never written over. Afterwards:
systemctl daemon-reload, systemctl enable --now saigen-collector.",
    argument: None,
    tail: None,
    options: &[
        Word::one(
            "below",
            "DIR",
            "The directory below which each start makes its journal; /var/lib/saigen by default",
        ),
        Word::one("key", "FILE", "The endpoint's key"),
        Word::one("config", "FILE", "A file of settings for record"),
        Word::one(
            "unit",
            "FILE",
            "Where the unit is written; among those of the system by default",
        ),
        Word::flag("print", "Print the unit, and do nothing"),
    ],
};

/// Where a unit keeps its journals, unless said otherwise.
pub(super) const BELOW: &str = "/var/lib/saigen";

/// Where a unit is written, unless said otherwise.
pub(super) const UNIT: &str = install::UNIT;

pub(super) const KEYGEN: Shape = Shape {
    name: "keygen",
    about: "Make the keys of an enrolment",
    more: "\
Writes three files: endpoint.key goes to the machine that is recorded, where `record --key`
uses it and moves it forward; auditor.key stays with the auditor, away from that machine, and
proves with `saigen verify --key` that nothing was changed; enrolment.pub is for anyone.
Existing files are never written over.",
    argument: None,
    tail: None,
    options: &[
        output(
            "DIR",
            "The directory for the three files; made if it is missing",
        ),
        JSON,
    ],
};

pub(super) const PROBE: Shape = Shape {
    name: "probe",
    about: "Say what this machine offers a recorder, and what would be missed",
    more: "\
Each interface of the kernel is tried as `record` would open it; nothing is changed. Without
root it says what is lacking.",
    argument: None,
    tail: None,
    options: &[JSON],
};

pub(super) const RECORD: Shape = Shape {
    name: "record",
    about: "Record the system, or one command and all that it starts, into a journal",
    more: "\
Needs root, or the capabilities that `probe` names. Ends by SIGTERM or SIGINT, after --for, or
with the command and its tree; the journal is then closed. With a command, only its processes
are recorded: all that it forks, however they detach themselves.",
    argument: None,
    tail: Some(("COMMAND", "The command to record, with its arguments")),
    options: &[
        output(
            "DIR",
            "The directory of the journal; new, empty, or with a recording that a crash broke off",
        ),
        Word::one(
            "below",
            "DIR",
            "A directory below which this recording makes one of its own, named by the second of its beginning",
        ),
        Word::one(
            "config",
            "FILE",
            "Settings: a file of lines such as max-disk = \"2GiB\"; options given here go before it",
        ),
        Word::flag(
            "dry-run",
            "Print what would be recorded, from what, within which bounds, and do nothing",
        ),
        Word::one(
            "key",
            "FILE",
            "The endpoint's key, which seals the journal and is moved forward; without it nothing is sealed",
        ),
        Word::one("for", "TIME", "How long: 90s, 15m, 1h, 2d"),
        Word::one(
            "max-disk",
            "SIZE",
            "Disk space that the journal may take: 500MiB, 2GiB (the default); from half of it on the noise of files gives way, then the oldest segments are removed, and it says so",
        ),
        Word::one(
            "max-events",
            "NUMBER",
            "Events a second that are written at the most: 50000 by default; above, what happens to files is left out first, and counted",
        ),
        Word::one(
            "max-cpu",
            "PERCENT",
            "What the recorder may use of one CPU: 100 by default; above, fewer file events are looked at, and the others counted",
        ),
        Word::one(
            "kernel-buffers",
            "SIZE",
            "Kernel memory for the rings of all CPUs together: 64MiB by default",
        ),
        Word::one(
            "without",
            "SOURCE",
            "A source to leave out: audit, fanotify, proc_connector, sock_diag, taskstats or perf_stacks; may be given again",
        )
        .again(),
        Word::one(
            "watch-reads",
            "PATH",
            "A file whose reading is told beside those that always are; of a directory, which ends in /, every file; may be given again",
        )
        .again(),
        Word::one(
            "environment",
            "NAME",
            "A variable that is kept of a new program's environment; may be given again",
        )
        .again(),
        Word::one(
            "exclude",
            "DIR",
            "A directory below which nothing is told of files, but where they start something by themselves; may be given again",
        )
        .again(),
        Word::flag(
            "dns",
            "Record name resolution too: answers of name servers, seen on the network",
        ),
        Word::flag(
            "share-audit",
            "Beside another audit daemon add our own rules, which fill its log too",
        ),
        Word::one(
            "linger",
            "TIME",
            "How long what a command leaves behind is followed: 10s by default",
        ),
        Word::flag("json", "Print the counts at the end as JSON, on stderr"),
    ],
};

pub(super) const SNAPSHOT: Shape = Shape {
    name: "snapshot",
    about: "Write down the state of the machine: processes, sockets, modules, accounts, autostarts",
    more: "\
The same that `record` writes when it begins, into an unsealed journal of its own. Without
root, what belongs to others is left out, and it says so.",
    argument: None,
    tail: None,
    options: &[
        output("DIR", "The directory of the journal; must be new or empty"),
        JSON,
    ],
};

pub(super) const ANCHOR: Shape = Shape {
    name: "anchor",
    about: "Print how far a recording has come, to be kept elsewhere",
    more: "\
One line: the position of the last whole frame, and the chain after it. Print it, sign it, send it
away: `saigen verify --anchor FILE` then finds a tail that was cut off, and an older copy that is
shown as new. It works while the recording goes on.",
    argument: JOURNAL,
    tail: None,
    options: &[],
};

pub(super) const SEAL_OFF: Shape = Shape {
    name: "seal-off",
    about: "Copy the closed segments of a recording to a stick, with hashes and anchor",
    more: "\
A recorder that is writing signs and closes its segment first, and goes on. The copy stands in
STICK/journal, SHA256SUMS and anchor.json beside it. Everything is read back. Write the anchor down.",
    argument: JOURNAL,
    tail: None,
    options: &[
        output("STICK", "Where the copy goes; must not hold one"),
        JSON,
    ],
};
