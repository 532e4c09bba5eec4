//! Events in the words of the Linux audit system: its own records one by one, and ours as it would
//! have written them.

use saigen_schemas::event::{Event, Kind, Source, Text};

use crate::detect::fields::{Line, View};
use crate::detect::values::{held, owned};
use crate::detect::{Subject, Value};

/// The records of an event of audit, each with its own fields, as rules for `auditd` are written:
/// one record is one event to them.
///
/// Their fields stand one record after the other, each led by its `type`. Empty for an event that
/// comes from elsewhere, or from a forwarder that makes one line of all.
pub(super) fn records<'e>(event: &Event<'e>) -> Vec<Vec<(Text<'e>, Text<'e>)>> {
    let mut records: Vec<Vec<(Text<'e>, Text<'e>)>> = Vec::new();
    if event.source != Source::Audit {
        return records;
    }
    for (name, value) in event.extra.iter() {
        if name.0 == b"type" {
            if value.0.starts_with(b"AUOMS") {
                return Vec::new();
            }
            records.push(Vec::new());
        }
        if let Some(record) = records.last_mut() {
            record.push((name, value));
        }
    }
    records
}

/// One record of audit.
pub(super) struct AuditRecord<'v, 'e, 'a> {
    pub(super) view: &'v View<'e, 'a>,
    pub(super) fields: &'v [(Text<'a>, Text<'a>)],
}

impl AuditRecord<'_, '_, '_> {
    fn is(&self, name: &[u8]) -> bool {
        self.fields
            .first()
            .is_some_and(|(_, value)| value.0 == name)
    }
}

impl Subject for AuditRecord<'_, '_, '_> {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        let named = |name: &str| {
            let mut values = self
                .fields
                .iter()
                .filter(|(own, _)| own.0 == name.as_bytes())
                .map(|(_, value)| Value::Text(value.lossy()));
            let first = values.next()?;
            let rest: Vec<Value<'_>> = values.collect();
            if rest.is_empty() {
                return Some(first);
            }
            Some(Value::Any(std::iter::once(first).chain(rest).collect()))
        };
        if let Some(value) = named(name) {
            return Some(value);
        }
        match name {
            // Its name until Linux 4.
            "nametype" => named("objtype"),
            // A long argument is in pieces there, and whole in the event.
            _ if self.is(b"EXECVE") => argument(&self.view.event.kind, name),
            "Computer" | "host" | "kind" | "source" => self.view.field(name),
            _ => None,
        }
    }

    fn texts(&self, visit: &mut dyn FnMut(&str)) {
        for (_, value) in self.fields {
            visit(&value.lossy());
        }
        if self.is(b"EXECVE")
            && let Some(Value::Text(line)) = self.view.line(Line::Own)
        {
            visit(&line);
        }
    }
}

/// An argument of a program's start, `a0`, `a1`, ….
fn argument<'v>(kind: &Kind<'v>, name: &str) -> Option<Value<'v>> {
    let Kind::ProcessStart(start) = kind else {
        return None;
    };
    let index: usize = name.strip_prefix('a')?.parse().ok()?;
    let arg = start.args?.iter().nth(index)?;
    Some(Value::Text(arg.lossy()))
}

/// The same event in the words of the Linux audit system, so that rules for `auditd` find what
/// another source recorded. One event stands for the records that audit would have written.
pub(super) struct AuditWords<'v, 'e, 'a>(pub(super) &'v View<'e, 'a>);

impl Subject for AuditWords<'_, '_, '_> {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        let view = self.0;
        let kind = &view.event.kind;
        match name {
            "type" => Some(audit_types(kind)),
            "SYSCALL" | "syscall" => audit_call(kind),
            "exe" => view.field("Image"),
            "comm" => {
                let Value::Text(path) = view.field("Image")? else {
                    return None;
                };
                let name = path.rsplit('/').next().unwrap_or(&path);
                Some(owned(name.chars().take(15).collect()))
            }
            "proctitle" => view.field("CommandLine"),
            "name" => kind
                .get("to")
                .or_else(|| kind.get("path"))
                .or_else(|| kind.get("name"))
                .and_then(held),
            "nametype" => audit_name_type(kind).map(Value::text),
            "cwd" => view.field("CurrentDirectory"),
            "uid" | "euid" | "gid" | "egid" => kind.get(name).and_then(held),
            "auid" => kind.get("login_uid").and_then(held),
            "ses" => kind.get("session").and_then(held),
            "success" => Some(Value::text("yes")),
            _ => argument(kind, name),
        }
    }

    fn texts(&self, visit: &mut dyn FnMut(&str)) {
        self.0.texts(visit);
    }
}

/// The records that audit writes for an event.
fn audit_types(kind: &Kind<'_>) -> Value<'static> {
    let types: &[&str] = if matches!(kind, Kind::ProcessStart(_)) {
        &["EXECVE", "SYSCALL", "PROCTITLE", "CWD"]
    } else if matches!(kind, Kind::ModuleLoaded(_)) {
        &["KERN_MODULE", "SYSCALL"]
    } else if kind.get("path").is_some() {
        &["PATH", "SYSCALL"]
    } else {
        &["SYSCALL"]
    };
    Value::Any(types.iter().map(|word| Value::text(word)).collect())
}

/// What audit says that became of a path.
fn audit_name_type(kind: &Kind<'_>) -> Option<&'static str> {
    let is = |made: bool, word| made.then_some(word);
    is(
        matches!(
            kind,
            Kind::FileCreated(_) | Kind::FileLinked(_) | Kind::FileRenamed(_)
        ),
        "CREATE",
    )
    .or_else(|| is(matches!(kind, Kind::FileDeleted(_)), "DELETE"))
    .or_else(|| {
        is(
            matches!(
                kind,
                Kind::FileWritten(_) | Kind::FileAttributes(_) | Kind::FileRead(_)
            ),
            "NORMAL",
        )
    })
}

/// The system call behind an event, where the event says it or it can be only one.
fn audit_call<'v>(kind: &Kind<'v>) -> Option<Value<'v>> {
    if matches!(kind, Kind::ProcessStart(_)) {
        Some(Value::text("execve"))
    } else if matches!(kind, Kind::ProcessTraced(_)) {
        Some(Value::text("ptrace"))
    } else if matches!(kind, Kind::Mounted(_)) {
        Some(Value::text("mount"))
    } else if matches!(kind, Kind::ModuleLoaded(_)) {
        Some(Value::Any(vec![
            Value::text("init_module"),
            Value::text("finit_module"),
        ]))
    } else {
        kind.get("call").and_then(held)
    }
}
