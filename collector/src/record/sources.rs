//! Which sources this endpoint gives, each at the best step of its ladder.

use super::Options;
use crate::namespace;
use crate::normalize::ArgsFrom;
use crate::source::audit::{Audit, AuditError, Role};
use crate::source::fanotify::{self, Executions, Files};
use crate::source::perf::{Clock, Perf, PerfOptions, Stack, Tracepoints};
use crate::source::proc_connector::ProcConnector;
use crate::source::sock_diag::SockDiag;
use crate::source::taskstats::Taskstats;
use crate::source::{Feed, Source, SourceError, dns};
use saigen_schemas::journal::SourceLevel;
use std::io;

/// What was opened.
#[derive(Debug)]
pub struct Sources {
    /// What the draining thread goes round.
    pub drained: Drained,
    /// The names of what fanotify reports.
    pub files: Option<Files>,
    /// Where arguments come from.
    pub args_from: ArgsFrom,
    /// How we take part in audit.
    pub audit: Option<Role>,
    /// Rules of ours that stand in audit.
    pub audit_rules: usize,
    /// Rules that a recorder of ours left there when it was killed.
    pub audit_left: usize,
    /// Messages that audit had lost before us.
    pub audit_lost_before: u32,
    /// The clock of perf's records.
    pub perf_clock: Clock,
    /// perf's tracepoints.
    pub tracepoints: Tracepoints,
    /// What each source gives, for the journal and for people.
    pub levels: Vec<SourceLevel>,
}

/// The sources themselves.
pub struct Drained(pub Vec<Box<dyn Source>>);

impl std::fmt::Debug for Drained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|source| source.feed()))
            .finish()
    }
}

/// Whether name resolution is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dns {
    /// It is.
    Seen,
    /// It is left alone, unless it is asked for: it shows what people do.
    #[default]
    Left,
}

/// Opens everything but what is to be left out. perf is the spine: without it nothing is recorded.
///
/// # Errors
/// perf cannot be had.
pub fn open(options: &Options) -> Result<Sources, SourceError> {
    let (without, dns) = (&options.without, options.dns);
    let left_out = |feed: Feed| {
        let reason = io::Error::other("left out as asked");
        without
            .contains(&feed)
            .then(|| SourceError::new("open it", reason))
    };
    let audit = match left_out(Feed::Audit) {
        Some(error) => Err(AuditError::Failed(error)),
        None => Audit::open(options.share),
    };
    let owner = audit
        .as_ref()
        .is_ok_and(|audit| audit.role != Role::Listener);
    let stack = if without.contains(&Feed::Stacks) {
        Stack::Left
    } else if owner {
        Stack::Environment
    } else {
        Stack::Arguments
    };
    let args_from = if owner {
        ArgsFrom::Audit
    } else {
        ArgsFrom::Stack
    };
    let perf = Perf::open(PerfOptions {
        budget_bytes: options.kernel_bytes,
        stack,
    })?;
    let connector = match left_out(Feed::ProcConnector) {
        Some(error) => Err(error),
        None => in_first_network(ProcConnector::open),
    };
    let sockets = match left_out(Feed::SockDiag) {
        Some(error) => Err(error),
        None => SockDiag::open(None),
    };
    let usage = match left_out(Feed::Taskstats) {
        Some(error) => Err(error),
        None => in_first_network(Taskstats::open),
    };
    let fanotify = match left_out(Feed::Fanotify) {
        Some(error) => Err(error),
        None => fanotify::open(&fanotify::Options {
            executions: Executions::LeftOut,
            reads: options.lists.reads.clone(),
            ..fanotify::Options::default()
        }),
    };
    let mut levels = vec![perf_level(&perf, stack), audit_level(&audit)];
    levels.push(level(
        "proc_connector",
        &connector,
        "a third count of starts, exit codes",
        "exit codes; starts are counted by two sources only",
    ));
    let mut drained: Vec<Box<dyn Source>> = Vec::new();
    let (perf_clock, tracepoints) = (perf.clock, perf.tracepoints);
    drained.extend(
        perf.rings
            .into_iter()
            .chain(perf.stacks)
            .map(|ring| Box::new(ring) as Box<dyn Source>),
    );
    let role = audit.as_ref().ok().map(|audit| audit.role);
    let (lost, rules, left) = audit.as_ref().map_or((0, 0, 0), |audit| {
        (audit.before.lost, audit.rule_count(), audit.left)
    });
    drained.extend(audit.ok().map(|audit| Box::new(audit) as Box<dyn Source>));
    drained.extend(
        connector
            .ok()
            .map(|connector| Box::new(connector) as Box<dyn Source>),
    );
    let files = watch_files(fanotify, &mut drained, &mut levels);
    levels.push(level(
        "sock_diag",
        &sockets,
        "bytes that each connection carried",
        "how much was sent and received",
    ));
    levels.push(level(
        "taskstats",
        &usage,
        "CPU time, bytes and memory that a process used",
        "what a process used in its life",
    ));
    drained.extend(usage.ok().map(|usage| Box::new(usage) as Box<dyn Source>));
    if dns == Dns::Seen {
        let packets = dns::Dns::open();
        levels.push(level(
            "dns",
            &packets,
            "answers of name servers over UDP, in our own network",
            "name resolution",
        ));
        drained.extend(
            packets
                .ok()
                .map(|packets| Box::new(packets) as Box<dyn Source>),
        );
    }
    drained.extend(
        sockets
            .ok()
            .map(|sockets| Box::new(sockets) as Box<dyn Source>),
    );
    Ok(Sources {
        drained: Drained(drained),
        files,
        args_from,
        audit: role,
        audit_rules: rules,
        audit_left: left,
        audit_lost_before: lost,
        perf_clock,
        tracepoints,
        levels,
    })
}

/// Opens what the kernel gives in its first network namespace alone, wherever we are. The threads of
/// the kernel never leave it: the first of them is process 2.
///
/// # Errors
/// What the first attempt met.
pub fn in_first_network<T: Send>(open: fn() -> Result<T, SourceError>) -> Result<T, SourceError> {
    open().or_else(|error| {
        [2, 1]
            .into_iter()
            .find_map(|pid| namespace::in_network_of(pid, open).ok()?.ok())
            .ok_or(error)
    })
}

fn watch_files(
    opened: Result<(fanotify::Queue, Files), SourceError>,
    drained: &mut Vec<Box<dyn Source>>,
    levels: &mut Vec<SourceLevel>,
) -> Option<Files> {
    let missed = "which files were created, written, renamed, deleted";
    let watched = opened.and_then(|(queue, mut files)| {
        let refused = files
            .add_view(None)
            .map_err(|error| SourceError::new("watch the file systems", error))?;
        Ok((queue, files, refused))
    });
    match watched {
        Ok((queue, files, refused)) => {
            let refused: Vec<String> = refused
                .iter()
                .map(|refusal| {
                    format!(
                        "{} ({})",
                        String::from_utf8_lossy(&refusal.mount_point),
                        String::from_utf8_lossy(&refusal.fs_type)
                    )
                })
                .collect();
            let missed = if refused.is_empty() {
                String::new()
            } else {
                format!("changes below {}", refused.join(", "))
            };
            levels.push(SourceLevel {
                source: "fanotify".to_owned(),
                level: match files.rung() {
                    fanotify::Rung::Whole => "whole",
                    fanotify::Rung::NamesOnly => "names only",
                }
                .to_owned(),
                gives: "files created, written, renamed, deleted, changed; reads of credentials"
                    .to_owned(),
                missed,
            });
            drained.push(Box::new(queue));
            Some(files)
        }
        Err(error) => {
            levels.push(absent("fanotify", &error.to_string(), missed));
            None
        }
    }
}

fn perf_level(perf: &Perf, stack: Stack) -> SourceLevel {
    let points = &perf.tracepoints;
    let mut missed = Vec::new();
    if points.exec.is_none() {
        missed.push("starts that audit or the connector does not tell of");
    }
    if points.exit.is_none() {
        missed.push("the end of a process whose first thread ended before others");
    }
    if points.socket.is_none() {
        missed.push("TCP connections that audit does not tell of, their ports and ends");
    }
    let with_stack = match stack {
        Stack::Arguments => ", arguments and environment from the new program's stack",
        Stack::Environment => ", chosen variables of the environment",
        Stack::Left => "",
    };
    SourceLevel {
        source: "perf".to_owned(),
        level: format!(
            "{} rings of {} KiB",
            perf.rings.len(),
            perf.ring_bytes / 1024
        ),
        gives: format!(
            "forks, starts, ends, libraries, namespaces, TCP connections, BPF programs{with_stack}"
        ),
        missed: missed.join("; "),
    }
}

fn audit_level(audit: &Result<Audit, AuditError>) -> SourceLevel {
    let gives = "whole arguments, working directories, login ids, changes of ids, reaches into processes and the kernel";
    match audit {
        Ok(audit) if audit.role != Role::Listener => SourceLevel {
            source: "audit".to_owned(),
            level: if audit.role == Role::Owner {
                format!("own, {} rules", audit.rule_count())
            } else {
                format!(
                    "shared with process {}, {} rules",
                    audit.before.pid,
                    audit.rule_count()
                )
            },
            gives: gives.to_owned(),
            missed: if audit.refused == 0 {
                String::new()
            } else {
                format!(
                    "what {} rules that this kernel refuses would tell",
                    audit.refused
                )
            },
        },
        Ok(audit) => SourceLevel {
            source: "audit".to_owned(),
            level: if audit.before.pid == 0 {
                "multicast, its configuration is locked".to_owned()
            } else {
                format!("multicast, beside process {}", audit.before.pid)
            },
            gives: "what the rules of others tell, logins".to_owned(),
            missed:
                "changes of ids, reaches into processes and the kernel that no rule of theirs names"
                    .to_owned(),
        },
        Err(error) => absent("audit", &error.to_string(), gives),
    }
}

fn level<T>(name: &str, opened: &Result<T, SourceError>, gives: &str, missed: &str) -> SourceLevel {
    match opened {
        Ok(_) => SourceLevel {
            source: name.to_owned(),
            level: "open".to_owned(),
            gives: gives.to_owned(),
            missed: String::new(),
        },
        Err(error) => absent(name, &error.to_string(), missed),
    }
}

fn absent(name: &str, why: &str, missed: &str) -> SourceLevel {
    SourceLevel {
        source: name.to_owned(),
        level: format!("absent: {why}"),
        gives: String::new(),
        missed: missed.to_owned(),
    }
}
