//! Probing: what this endpoint offers a recorder, what would be missed, and what to do about it.
//!
//! Each interface is opened as `record` would open it, and closed again; audit alone is only asked.

use crate::machine::Machine;
use crate::normalize::ledger;
use crate::record::sources::in_first_network;
use crate::source::audit::{self, Audit, AuditError, Status};
use crate::source::dns::Dns;
use crate::source::fanotify;
use crate::source::perf::{Perf, PerfOptions, RING_BYTES_MIN, Stack};
use crate::source::proc_connector::ProcConnector;
use crate::source::sock_diag::SockDiag;
use crate::source::taskstats::Taskstats;
use crate::source::{Feed, SourceError};
use rustix::thread::{CapabilitySet, capabilities};
use serde::Serialize;
use std::fmt;

/// What this endpoint offers.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// The kernel, by its own name.
    pub kernel: String,
    /// `kernel.perf_event_paranoid`; above 2 some distributions refuse everything.
    pub perf_event_paranoid: Option<i32>,
    /// Capabilities that a recorder needs and this process does not have.
    pub missing_capabilities: Vec<&'static str>,
    /// Each source.
    pub sources: Vec<Finding>,
    /// Whether `record` would record.
    pub records: bool,
}

/// What one source offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The source.
    pub source: &'static str,
    /// The step of its ladder that `record` would take.
    pub step: String,
    /// What that gives.
    pub gives: &'static str,
    /// What is missed there.
    pub missed: String,
    /// What to do about it.
    pub advice: String,
}

/// Capabilities, by name, and what each is for.
const NEEDED: [(&str, CapabilitySet); 6] = [
    ("perfmon (perf)", CapabilitySet::PERFMON),
    (
        "audit_control (audit: own rules)",
        CapabilitySet::AUDIT_CONTROL,
    ),
    (
        "audit_read (audit: beside another)",
        CapabilitySet::AUDIT_READ,
    ),
    ("sys_admin (fanotify, tracefs)", CapabilitySet::SYS_ADMIN),
    (
        "net_admin (process connector, sizes of buffers)",
        CapabilitySet::NET_ADMIN,
    ),
    (
        "dac_read_search (names of files, hashes)",
        CapabilitySet::DAC_READ_SEARCH,
    ),
];

/// Looks at everything. Nothing is changed.
#[must_use]
pub fn probe() -> Probe {
    let (perf, records) = probe_perf();
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    Probe {
        kernel: Machine::read(None).map_or_else(|_| "unknown".to_owned(), |machine| machine.kernel),
        perf_event_paranoid: std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
        missing_capabilities: NEEDED
            .iter()
            .filter(|(_, needed)| !held.contains(*needed))
            .map(|(name, _)| *name)
            .collect(),
        sources: vec![
            perf,
            probe_audit(),
            probe_fanotify(),
            probe_connector(),
            probe_sockets(),
            probe_usage(),
            probe_packets(),
        ],
        records,
    }
}

const AS_ROOT: &str = "run as root, or give the missing capabilities";

fn probe_perf() -> (Finding, bool) {
    let gives = "forks, starts, ends, libraries, namespaces, TCP connections with their process";
    let opened = Perf::open(PerfOptions {
        budget_bytes: RING_BYTES_MIN,
        stack: Stack::Left,
    });
    let finding = |step: String, missed: String, advice: String| Finding {
        source: ledger::name(Feed::Perf),
        step,
        gives,
        missed,
        advice,
    };
    match opened {
        Ok(perf) => {
            let points = &perf.tracepoints;
            let absent: Vec<&str> = [
                ("starts by their exact moment", points.exec.is_none()),
                (
                    "ends of processes whose first thread ended before others",
                    points.exit.is_none(),
                ),
                ("TCP connections", points.socket.is_none()),
            ]
            .into_iter()
            .filter_map(|(what, missing)| missing.then_some(what))
            .collect();
            let advice = if absent.is_empty() {
                ""
            } else {
                "a kernel with tracefs and these tracepoints gives them"
            };
            let step = format!("system-wide on {} CPUs", perf.rings.len());
            (finding(step, absent.join("; "), advice.to_owned()), true)
        }
        Err(error) => {
            let advice = format!("{AS_ROOT}; without perf nothing is recorded");
            (
                finding(format!("none: {error}"), "everything".to_owned(), advice),
                false,
            )
        }
    }
}

fn probe_audit() -> Finding {
    // An owner that is gone is still named until the kernel fails to reach it.
    let found = Audit::status().map(|status| match status.pid {
        0 => status,
        pid if audit::holds_audit(pid) => status,
        _ => Status { pid: 0, ..status },
    });
    let left = audit::leftover_rules().unwrap_or(0);
    let (step, missed, advice) = judge_audit(&found, left);
    Finding {
        source: ledger::name(Feed::Audit),
        step,
        gives: "whole arguments, working directories, login ids, changes of ids, reaches into processes and the kernel",
        missed: missed.to_owned(),
        advice,
    }
}

/// The step that `record` would take, what is missed there, and what to do.
fn judge_audit(
    found: &Result<Status, AuditError>,
    leftovers: usize,
) -> (String, &'static str, String) {
    const PARTS: &str = "what no rule of theirs names; arguments come from the new program's stack, most of them whole";
    match found {
        Ok(status) if status.pid != 0 => (
            format!("beside process {}, which owns audit", status.pid),
            PARTS,
            "record --share-audit adds our rules beside its own, which fill its log too; or stop it while recording".to_owned(),
        ),
        Ok(status) if status.enabled == 2 => (
            "beside a configuration that is locked until the next boot".to_owned(),
            PARTS,
            "boot without `-e 2` in the audit rules".to_owned(),
        ),
        Ok(status) => {
            let missed = if status.enabled == 0 {
                "what processes do that were born before audit was first enabled, but for what perf sees"
            } else {
                ""
            };
            let advice = if leftovers > 0 {
                format!(
                    "{leftovers} rules of ours are left from a crash, or are in use; the next recording removes them"
                )
            } else if status.enabled == 0 {
                "boot with audit=1 to have them too".to_owned()
            } else {
                String::new()
            };
            ("own rules".to_owned(), missed, advice)
        }
        Err(error) => {
            let advice = match error {
                AuditError::Absent(_) => {
                    "a kernel with CONFIG_AUDITSYSCALL, outside of containers, has it"
                }
                AuditError::Forbidden | AuditError::Failed(_) => AS_ROOT,
            };
            (
                format!("none: {error}"),
                "some arguments; changes of ids by call; reaches into processes and the kernel; logins",
                advice.to_owned(),
            )
        }
    }
}

fn probe_fanotify() -> Finding {
    let gives = "files created, written, renamed, deleted, changed; reads of credentials";
    let opened = fanotify::open(&fanotify::Options::default()).and_then(|(_queue, mut files)| {
        let refused = files
            .add_view(None)
            .map_err(|error| SourceError::new("watch the file systems", error))?;
        Ok((files.rung(), refused))
    });
    let (step, missed, advice) = match opened {
        Ok((rung, refused)) => {
            let places: Vec<String> = refused
                .iter()
                .map(|refusal| {
                    String::from_utf8_lossy(&refusal.mount_point)
                        .escape_debug()
                        .to_string()
                })
                .collect();
            let missed = if places.is_empty() {
                String::new()
            } else {
                format!("changes below {}", places.join(", "))
            };
            let step = match rung {
                fanotify::Rung::Whole => "whole: names, renames in one",
                fanotify::Rung::NamesOnly => "names; the two ends of a rename apart",
            };
            (step.to_owned(), missed, String::new())
        }
        Err(error) => (
            format!("none: {error}"),
            "what happens to files".to_owned(),
            AS_ROOT.to_owned(),
        ),
    };
    Finding {
        source: ledger::name(Feed::Fanotify),
        step,
        gives,
        missed,
        advice,
    }
}

fn probe_connector() -> Finding {
    let opened = in_first_network(ProcConnector::open);
    simple(
        Feed::ProcConnector,
        "exit codes; a third count of starts",
        opened.err(),
        "exit codes; starts are counted by two sources only",
    )
}

fn probe_sockets() -> Finding {
    let opened = SockDiag::open(None);
    simple(
        Feed::SockDiag,
        "bytes that each connection carried",
        opened.err(),
        "how much was sent and received",
    )
}

fn probe_usage() -> Finding {
    let opened = in_first_network(Taskstats::open);
    simple(
        Feed::Taskstats,
        "CPU time, bytes and memory that a process used",
        opened.err(),
        "what a process used in its life",
    )
}

fn probe_packets() -> Finding {
    let opened = Dns::open();
    simple(
        Feed::Dns,
        "name resolution, where `--dns` asks for it",
        opened.err(),
        "name resolution",
    )
}

fn simple(feed: Feed, gives: &'static str, error: Option<SourceError>, missed: &str) -> Finding {
    match error {
        None => Finding {
            source: ledger::name(feed),
            step: "open".to_owned(),
            gives,
            missed: String::new(),
            advice: String::new(),
        },
        Some(error) => Finding {
            source: ledger::name(feed),
            step: format!("none: {error}"),
            gives,
            missed: missed.to_owned(),
            advice: AS_ROOT.to_owned(),
        },
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel                {}", self.kernel)?;
        if let Some(paranoid) = self.perf_event_paranoid {
            writeln!(f, "perf_event_paranoid   {paranoid}")?;
        }
        let missing = if self.missing_capabilities.is_empty() {
            "none".to_owned()
        } else {
            self.missing_capabilities.join(", ")
        };
        writeln!(f, "missing capabilities  {missing}")?;
        for finding in &self.sources {
            writeln!(f, "\n{:<16}{}", finding.source, finding.step)?;
            for (word, text) in [
                ("gives", finding.gives),
                ("missed", &finding.missed),
                ("advice", &finding.advice),
            ] {
                if !text.is_empty() {
                    writeln!(f, "  {word:<14}{text}")?;
                }
            }
        }
        let verdict = if self.records {
            "`record` works here"
        } else {
            "`record` does not work here"
        };
        write!(f, "\n{verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(enabled: u32, pid: u32) -> Result<Status, AuditError> {
        Ok(Status {
            enabled,
            pid,
            ..Status::default()
        })
    }

    #[test]
    fn audit_is_owned_only_where_nobody_else_does() {
        assert_eq!(
            judge_audit(&status(1, 0), 0),
            ("own rules".to_owned(), "", String::new())
        );
        assert!(judge_audit(&status(1, 77), 0).0.contains("process 77"));
        assert!(judge_audit(&status(2, 0), 0).0.contains("locked"));
        assert!(judge_audit(&status(1, 0), 3).2.contains("3 rules"));
        assert!(judge_audit(&status(0, 0), 0).2.contains("audit=1"));
        assert!(
            judge_audit(&Err(AuditError::Forbidden), 0)
                .0
                .starts_with("none")
        );
    }

    #[test]
    fn what_is_found_reads_as_text_and_as_json() {
        let probe = probe();
        let text = probe.to_string();
        for finding in &probe.sources {
            assert!(text.contains(finding.source), "{text}");
        }
        // Stacks are a part of perf.
        assert_eq!(probe.sources.len(), Feed::ALL.len() - 1);
        let json = serde_json::to_value(&probe).unwrap();
        assert_eq!(json["records"], probe.records);
    }
}
