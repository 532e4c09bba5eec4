//! `custody.jsonl`: who made the case, when, from what; each line chained to the one before.
//!
//! | Lines    | `what`   | Says                                                    | Clock |
//! |----------|----------|---------------------------------------------------------|-------|
//! | 1        | `tool`   | program, version, rule set, the command that reproduces | no    |
//! | 2 …      | `input`  | each input: path, SHA-256, bytes, format, verdict       | no    |
//! | then 1   | `run`    | when, who, where, the arguments as typed, the places    | yes   |
//! | the rest | `output` | each other file of the case: name, SHA-256, bytes       | no    |
//!
//! `prev` is the SHA-256 of the line before, without its line end; 64 zeros in the first. The
//! head of a log is the SHA-256 of its last line.
//!
//! The report cannot hold the hash of a log that holds the report's hash. So the log has two
//! parts: the report prints the head of the first one (tool and inputs), and the second one
//! goes on with the report's hash. The first part has no clock and no place of the machine, so
//! the same evidence, rules and version give the same report.
//!
//! **What this proves.** There is no key, and whoever can write the folder can write a new
//! log. A head that was noted elsewhere (minutes, a signed mail, a print) proves that the log,
//! and by its hashes every other file of the case, is the one of that day. A printed report
//! proves which inputs, rules and version it came from. Nothing here proves who or when.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use saigen_schemas::report::{EvidenceId, Moment, Report};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CUSTODY, CaseError, OutputFile, read_report};

/// Who investigates, when and how: all that the report does not say, since it would differ
/// from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occasion {
    /// The wall clock. The only one that a case holds.
    pub time: Moment,
    /// The account that ran the program.
    pub who: String,
    /// The machine that it ran on.
    pub machine: String,
    /// The arguments, as they were typed.
    pub arguments: Vec<String>,
    /// The folder that it ran in, which relative arguments start from.
    pub working_directory: String,
    /// Where each input was found, so that its bytes can be read again.
    pub locations: Vec<Location>,
}

/// Where an input was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// The input.
    pub id: EvidenceId,
    /// Its absolute path on the machine that investigated.
    pub path: String,
}

/// What a check of the log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyCheck {
    /// The head of the log, to be compared with the one that was noted elsewhere.
    pub head: String,
    /// What does not hold, one sentence each; empty when all does.
    pub faults: Vec<String>,
}

/// One line of the log.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    n: u64,
    prev: String,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Entry {
    Tool {
        name: String,
        version: String,
        rules_sha256: String,
        rules_loaded: u64,
        command: String,
    },
    Input {
        id: EvidenceId,
        path: String,
        sha256: String,
        bytes: u64,
        format: String,
        verdict: String,
    },
    Run(Occasion),
    Output(OutputFile),
}

/// A log that is being written.
pub(super) struct Log {
    text: String,
    lines: u64,
    head: String,
}

impl Log {
    /// The first part of the log: the tool and the inputs. Its head is printed on the report.
    pub(super) fn of_inputs(report: &Report) -> Self {
        let mut log = Self {
            text: String::new(),
            lines: 0,
            head: "0".repeat(64),
        };
        log.push(Entry::Tool {
            name: report.tool.name.clone(),
            version: report.tool.version.clone(),
            rules_sha256: report.rules.sha256.clone(),
            rules_loaded: report.rules.loaded,
            command: report.command.clone(),
        });
        for evidence in &report.evidence {
            log.push(Entry::Input {
                id: evidence.id,
                path: evidence.path.clone(),
                sha256: evidence.sha256.clone(),
                bytes: evidence.bytes,
                format: evidence.format.word().to_owned(),
                verdict: evidence.verdict.word().to_owned(),
            });
        }
        log
    }

    pub(super) fn push_run(&mut self, occasion: &Occasion) {
        self.push(Entry::Run(occasion.clone()));
    }

    pub(super) fn push_output(&mut self, output: &OutputFile) {
        self.push(Entry::Output(output.clone()));
    }

    /// The SHA-256 of the last line, in hex.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn push(&mut self, entry: Entry) {
        self.lines += 1;
        let line = Line {
            n: self.lines,
            prev: self.head.clone(),
            entry,
        };
        let line = serde_json::to_string(&line).expect("a line of texts and numbers is JSON");
        self.head = hex(&Sha256::digest(line.as_bytes()));
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}

/// Checks the log of a case: its chain, the hashes of all files that it names, and that the
/// report speaks of this log.
///
/// # Errors
///
/// When the log or the report cannot be read at all. What can be read and does not hold is a
/// fault, not an error.
pub fn check_custody(dir: &Path) -> Result<CustodyCheck, CaseError> {
    let mut check = CustodyCheck {
        head: "0".repeat(64),
        faults: Vec::new(),
    };
    let mut inputs_head = None;
    for (at, (text, line)) in read_lines(dir)?.into_iter().enumerate() {
        if line.prev != check.head {
            check.faults.push(format!(
                "line {} does not follow the line before it",
                at + 1
            ));
        }
        match &line.entry {
            Entry::Tool { .. } | Entry::Input { .. } => {}
            Entry::Run(_) => inputs_head = Some(check.head.clone()),
            Entry::Output(output) => check.faults.extend(fault_of(dir, output)),
        }
        check.head = hex(&Sha256::digest(text.as_bytes()));
    }
    if inputs_head.is_none() || read_report(dir)?.custody_head != inputs_head {
        check
            .faults
            .push("the report does not print the head of this log's first part".to_owned());
    }
    Ok(check)
}

/// What is wrong with a file that the log names, if anything.
fn fault_of(dir: &Path, output: &OutputFile) -> Option<String> {
    if !super::FILES.contains(&output.name.as_str()) {
        return Some(format!("{:?} is no file of a case", output.name));
    }
    match fs::read(dir.join(&output.name)) {
        Ok(bytes) if hex(&Sha256::digest(&bytes)) == output.sha256 => None,
        Ok(_) => Some(format!("{} is not the file that was written", output.name)),
        Err(error) => Some(format!("{}: {error}", output.name)),
    }
}

/// Where the inputs of a case were found when it was made.
///
/// # Errors
///
/// When the folder is no case, or its log cannot be read.
pub fn locations(dir: &Path) -> Result<BTreeMap<EvidenceId, String>, CaseError> {
    let mut locations = BTreeMap::new();
    for (_, line) in read_lines(dir)? {
        if let Entry::Run(occasion) = line.entry {
            locations.extend(
                occasion
                    .locations
                    .into_iter()
                    .map(|place| (place.id, place.path)),
            );
        }
    }
    Ok(locations)
}

fn read_lines(dir: &Path) -> Result<Vec<(String, Line)>, CaseError> {
    let path = dir.join(CUSTODY);
    let text = fs::read_to_string(&path).map_err(CaseError::missing_or_io(dir, CUSTODY))?;
    let read = |(at, text): (usize, &str)| match serde_json::from_str(text) {
        Ok(line) => Ok((text.to_owned(), line)),
        Err(source) => Err(CaseError::Unreadable {
            path: path.clone(),
            line: at + 1,
            source,
        }),
    };
    text.lines().enumerate().map(read).collect()
}
