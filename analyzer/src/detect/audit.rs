//! Our events in the words of the Linux audit system.

use saigen_schemas::event::Kind;

use crate::detect::fields::{View, held, owned};
use crate::detect::{Subject, Value};

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
            _ => {
                let Kind::ProcessStart(start) = kind else {
                    return None;
                };
                let index: usize = name.strip_prefix('a')?.parse().ok()?;
                start
                    .args?
                    .iter()
                    .nth(index)
                    .map(|arg| Value::Text(arg.lossy()))
            }
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
