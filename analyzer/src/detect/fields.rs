//! Sigma's field names over our events.
//!
//! A name is looked for, in this order: as the foreign record called it; as Sigma calls a field of
//! this kind of event; as a fact of the process behind the event; as the event model itself calls
//! it (`docs/EVENTS.md`). The tables stand in `docs/DETECTION.md`.

use std::borrow::Cow;
use std::cell::OnceCell;

use saigen_schemas::event::{
    Change, Event, Kind, ProcessKey, ProcessStart, Source, Text, Value as Held, format_utc,
};

use crate::detect::facts::Context;
use crate::detect::values::{
    hashes, held, hex, joined, mode_bits, narrow, number, owned, registry_word, spaced, text, user,
    user_of, version,
};
use crate::detect::{Subject, Value};

/// An event under Sigma's names.
pub(super) struct View<'e, 'a> {
    pub(super) event: &'e Event<'a>,
    context: &'e Context<'a>,
    /// Command lines are put together at most once: of the event, the actor, the parent.
    lines: [OnceCell<Option<String>>; 3],
    /// The foreign record's fields by name: rules ask for many that are not there.
    extra: OnceCell<Vec<RecordField<'a>>>,
}

/// A field of a foreign record.
struct RecordField<'a> {
    name: Cow<'a, [u8]>,
    value: Text<'a>,
}

impl RecordField<'_> {
    /// What fields are sorted by: short names are told apart by their length alone.
    fn order(&self) -> (usize, &[u8]) {
        (self.name.len(), &self.name)
    }
}

/// Which of [`View::lines`].
#[derive(Clone, Copy)]
pub(super) enum Line {
    Own,
    Actor,
    Parent,
}

impl<'e, 'a> View<'e, 'a> {
    pub(super) fn new(event: &'e Event<'a>, context: &'e Context<'a>) -> Self {
        Self {
            event,
            context,
            lines: [OnceCell::new(), OnceCell::new(), OnceCell::new()],
            extra: OnceCell::new(),
        }
    }

    /// The fields of the foreign record of a name, in their order. A name with spaces
    /// (`Threat Name`) is also found without them, as rules often have it.
    fn record_fields(&self, name: &str) -> &[RecordField<'a>] {
        if self.event.extra.is_empty() {
            return &[];
        }
        let fields = self.extra.get_or_init(|| {
            let mut fields = Vec::with_capacity(48);
            for (name, value) in self.event.extra.iter() {
                if name.0.contains(&b' ') {
                    let bare: Vec<u8> = name.0.iter().copied().filter(|b| *b != b' ').collect();
                    let name = Cow::Owned(bare);
                    fields.push(RecordField { name, value });
                }
                let name = Cow::Borrowed(name.0);
                fields.push(RecordField { name, value });
            }
            fields.sort_by(|one, other| one.order().cmp(&other.order()));
            fields
        });
        let wanted = (name.len(), name.as_bytes());
        let begin = fields.partition_point(|field| field.order() < wanted);
        let rest = fields.get(begin..).unwrap_or_default();
        let count = rest
            .iter()
            .take_while(|field| field.order() == wanted)
            .count();
        rest.get(..count).unwrap_or_default()
    }

    pub(super) fn line(&self, line: Line) -> Option<Value<'_>> {
        let facts = match line {
            Line::Own => None,
            Line::Actor => Some(self.context.actor?),
            Line::Parent => Some(self.context.parent?),
        };
        let (args, whole) = match (&facts, &self.event.kind) {
            (Some(facts), _) => (facts.args, facts.command_line),
            (None, Kind::ProcessStart(start)) => (start.args, start.command_line),
            (None, Kind::StateProcess(process)) => (process.args, None),
            (None, _) => (None, None),
        };
        if let Some(whole) = whole {
            return Some(Value::Text(whole.lossy()));
        }
        let [own, actor, parent] = &self.lines;
        let cell = match line {
            Line::Own => own,
            Line::Actor => actor,
            Line::Parent => parent,
        };
        cell.get_or_init(|| args.map(spaced))
            .as_deref()
            .map(Value::text)
    }

    /// Fields of a program's start.
    fn of_start(&self, start: &'e ProcessStart<'a>, name: &str) -> Option<Value<'_>> {
        let parent = self.context.parent.as_ref();
        match name {
            "Image" | "NewProcessName" => text(start.image),
            "CommandLine" | "ProcessCommandLine" => self.line(Line::Own),
            "ParentImage" | "ParentProcessName" => text(
                start
                    .parent_image
                    .or_else(|| parent.and_then(|parent| parent.image)),
            ),
            "ParentCommandLine" => {
                text(start.parent_command_line).or_else(|| self.line(Line::Parent))
            }
            "ParentUser" => parent.and_then(user_of),
            "parent_uid" => parent.and_then(|parent| parent.uid).map(narrow),
            "parent_euid" => parent.and_then(|parent| parent.euid).map(narrow),
            "CurrentDirectory" => text(start.cwd),
            "User" => user(start.account, start.euid.or(start.uid)),
            // On Linux these two of Sysmon's names are the login user and the session.
            "LogonId" if is_linux(self.event) => start.login_uid.map(narrow),
            "LogonId" => start.session.and_then(number),
            "TerminalSessionId" if is_linux(self.event) => start.session.and_then(number),
            "TerminalSessionId" => text(start.tty),
            "ProcessId" => self
                .event
                .actor
                .map(|key| Value::Number(i64::from(key.pid))),
            "ProcessGuid" => self.event.actor.map(|key| self.guid(key)),
            "ParentProcessId" => start.parent.map(|key| Value::Number(i64::from(key.pid))),
            "ParentProcessGuid" => start.parent.map(|key| self.guid(key)),
            "Hashes" => hashes(start.sha256, start.hashes),
            "sha256" | "SHA256" => start.sha256.map(hex),
            "PreviousImage" => text(self.context.actor.and_then(|actor| actor.image)),
            "PreviousUser" => self.context.actor.as_ref().and_then(user_of),
            "previous_uid" => self.context.actor.and_then(|actor| actor.uid).map(narrow),
            "previous_euid" => self.context.actor.and_then(|actor| actor.euid).map(narrow),
            "IntegrityLevel" => text(start.integrity),
            "OriginalFileName" => text(start.original_name),
            "Company" => version(start.version, 0),
            "Product" => version(start.version, 1),
            "Description" => version(start.version, 2),
            _ => None,
        }
    }

    /// Fields of the process behind any other event.
    fn of_actor(&self, name: &str) -> Option<Value<'_>> {
        let actor = self.context.actor.as_ref();
        let parent = self.context.parent.as_ref();
        match name {
            "Image" | "SourceImage" | "ProcessName" => self.actor_image(),
            "CommandLine" | "SourceCommandLine" => self.line(Line::Actor),
            "User" | "SourceUser" => user_of(actor?),
            "CurrentDirectory" => text(actor?.cwd),
            "ProcessId" | "SourceProcessId" => self
                .event
                .actor
                .map(|key| Value::Number(i64::from(key.pid))),
            "ProcessGuid" | "SourceProcessGUID" | "SourceProcessGuid" => {
                self.event.actor.map(|key| self.guid(key))
            }
            "ParentImage" => text(parent?.image),
            "ParentCommandLine" => self.line(Line::Parent),
            "ParentUser" => user_of(parent?),
            "ParentProcessGuid" => Some(self.guid(parent?.key)),
            "actor_uid" => actor?.uid.map(narrow),
            "actor_euid" => actor?.euid.map(narrow),
            "actor_login_uid" => actor?.login_uid.map(narrow),
            _ => None,
        }
    }

    /// The program of the process behind the event. The security log calls it `ProcessName`, which is
    /// what the record itself says.
    fn actor_image(&self) -> Option<Value<'_>> {
        let said = self.record_fields("ProcessName").first();
        let said = said.filter(|field| field.value.0.contains(&b'\\'));
        match said {
            Some(field) if !is_linux(self.event) => Some(Value::Text(field.value.lossy())),
            Some(_) | None => text(self.context.actor?.image),
        }
    }

    /// Fields of single kinds under Sigma's names.
    fn of_kind(&self, name: &str) -> Option<Value<'_>> {
        match &self.event.kind {
            Kind::ProcessStart(start) => self.of_start(start, name),
            Kind::StateProcess(process) => match name {
                "Image" => text(process.image),
                "CommandLine" => self.line(Line::Own),
                "CurrentDirectory" => text(process.cwd),
                "User" => user(process.account, process.euid),
                _ => None,
            },
            Kind::ProcessTraced(traced) => match name {
                "TargetImage" => text(traced.target_image),
                "TargetProcessId" => traced.target.map(|key| Value::Number(i64::from(key.pid))),
                "TargetProcessGuid" | "TargetProcessGUID" => {
                    traced.target.map(|key| self.guid(key))
                }
                "StartModule" | "StartFunction" | "StartAddress" => text(traced.start_place),
                _ => None,
            },
            Kind::ProcessOpened(opened) => match name {
                "TargetImage" => text(opened.target_image),
                "TargetProcessId" => opened.target.map(|key| Value::Number(i64::from(key.pid))),
                "TargetProcessGuid" | "TargetProcessGUID" => {
                    opened.target.map(|key| self.guid(key))
                }
                "GrantedAccess" => opened.access.map(|access| owned(format!("0x{access:x}"))),
                "CallTrace" => text(opened.call_trace),
                _ => None,
            },
            Kind::FileCreated(_)
            | Kind::FileWritten(_)
            | Kind::FileRenamed(_)
            | Kind::FileLinked(_)
            | Kind::FileDeleted(_)
            | Kind::FileAttributes(_)
            | Kind::FileMapped(_)
            | Kind::FileRead(_) => self.of_file(name),
            Kind::NetworkConnected(_)
            | Kind::NetworkAccepted(_)
            | Kind::NetworkListening(_)
            | Kind::NetworkClosed(_)
            | Kind::NetworkResolved(_)
            | Kind::StateSocket(_) => self.of_network(name),
            Kind::Logon(_) | Kind::FailedLogon(_) | Kind::Logoff(_) | Kind::PrivilegeSwitch(_) => {
                self.of_session(name)
            }
            Kind::ModuleLoaded(module) => match name {
                "ImageLoaded" => text(module.path),
                "Hashes" => text(module.hashes),
                "Signature" => text(module.signature),
                _ => None,
            },
            Kind::Registry(_)
            | Kind::ServiceChange(_)
            | Kind::DriverChange(_)
            | Kind::ScheduledTask(_)
            | Kind::WmiSubscription(_)
            | Kind::ScriptBlock(_)
            | Kind::Pipe(_) => self.of_configuration(name),
            Kind::ProcessFork(_)
            | Kind::ProcessExit(_)
            | Kind::CredentialsChanged(_)
            | Kind::FileMemory(_)
            | Kind::BpfLoaded(_)
            | Kind::Mounted(_)
            | Kind::NamespaceEntered(_)
            | Kind::StateModule(_)
            | Kind::StateAccount(_)
            | Kind::StateAutostart(_)
            | Kind::RecordSource(_)
            | Kind::RecordLoss(_)
            | Kind::ClockStep(_)
            | Kind::RecordBoot(_)
            | Kind::RecordSuspend(_)
            | Kind::RecordConfiguration(_)
            | Kind::RecordHeartbeat(_)
            | Kind::LogCleared(_)
            | Kind::RecordCompleteness(_) => None,
            Kind::RecordRaw(raw) => match name {
                "Channel" => text(raw.channel),
                "Provider_Name" => text(raw.provider),
                "EventID" => raw.event_id.and_then(number),
                "Message" => text(raw.message),
                _ => None,
            },
        }
    }

    fn of_file(&self, name: &str) -> Option<Value<'_>> {
        let kind = &self.event.kind;
        match (name, kind) {
            // What is renamed to a place comes to be there.
            ("TargetFilename", Kind::FileRenamed(file)) => text(file.to),
            ("SourceFilename", Kind::FileRenamed(file)) => text(file.path),
            ("ImageLoaded", Kind::FileMapped(file)) => text(file.path),
            ("Signature", Kind::FileMapped(file)) => text(file.signature),
            ("Hashes", Kind::FileMapped(file)) => hashes(file.sha256, file.hashes),
            ("Hashes", Kind::FileWritten(file)) => hashes(file.sha256, None),
            ("CreationUtcTime", Kind::FileCreated(file)) => {
                file.created_us.map(|us| owned(format_utc(us)))
            }
            ("Signed", Kind::FileMapped(file)) => text(file.signature),
            ("Hashes" | "Hash", Kind::FileCreated(file)) => text(file.hashes),
            ("Hashes", Kind::FileDeleted(file)) => text(file.hashes),
            ("sha256", Kind::FileWritten(file)) => file.sha256.map(hex),
            ("setuid", _) => kind
                .get("mode")
                .map(|mode| owned((mode_bits(mode) & 0o4000 != 0).to_string())),
            ("setgid", _) => kind
                .get("mode")
                .map(|mode| owned((mode_bits(mode) & 0o2000 != 0).to_string())),
            ("executable", _) => kind
                .get("mode")
                .map(|mode| owned((mode_bits(mode) & 0o111 != 0).to_string())),
            ("TargetFilename" | "FileName" | "ObjectName", _) => kind.get("path").and_then(held),
            _ => None,
        }
    }

    /// The source of a flow is the end that opened it, as in Sysmon's records.
    fn of_network(&self, name: &str) -> Option<Value<'_>> {
        let kind = &self.event.kind;
        if let Kind::NetworkResolved(resolved) = kind {
            return match name {
                "QueryName" | "query" => text(resolved.query),
                "QueryResults" | "answer" => {
                    resolved.answers.map(|answers| owned(joined(answers, ";")))
                }
                "QueryStatus" => text(resolved.status),
                "record_type" => text(resolved.record),
                _ => None,
            };
        }
        let inbound = matches!(kind, Kind::NetworkAccepted(_) | Kind::NetworkListening(_));
        let (here, there) = if inbound {
            ("Destination", "Source")
        } else {
            ("Source", "Destination")
        };
        let own = |part: &str| match part {
            "Ip" => kind.get("local_ip"),
            "Port" => kind.get("local_port"),
            _ => None,
        };
        let other = |part: &str| match part {
            "Ip" => kind.get("remote_ip"),
            "Port" => kind.get("remote_port"),
            "Hostname" => kind.get("remote_host"),
            _ => None,
        };
        match name {
            "Initiated" => Some(Value::text(if inbound { "false" } else { "true" })),
            "Protocol" => kind.get("protocol").and_then(held),
            _ => {
                let found = match name.strip_prefix(here) {
                    Some(part) => own(part),
                    None => other(name.strip_prefix(there)?),
                };
                found.and_then(held)
            }
        }
    }

    fn of_session(&self, name: &str) -> Option<Value<'_>> {
        if let Kind::PrivilegeSwitch(switch) = &self.event.kind {
            match name {
                "SubjectUserName" => return text(switch.account),
                // As sudo writes it: whose rights were asked for.
                "USER" => return text(switch.to_account),
                _ => {}
            }
        }
        let own = match name {
            "TargetUserName" | "User" | "USER" => "account",
            "TargetDomainName" => "domain",
            "SubjectUserName" => "by_account",
            "IpAddress" | "SourceIp" => "remote_ip",
            "IpPort" | "SourcePort" => "remote_port",
            "WorkstationName" => "remote_host",
            "LogonType" => "logon_type",
            "LogonId" | "TargetLogonId" => "session",
            "AuthenticationPackageName" => "method",
            "LogonProcessName" | "ProcessName" => "program",
            "PrivilegeList" => "privileges",
            "FailureReason" | "Status" | "SubStatus" => "reason",
            _ => return None,
        };
        self.event.kind.get(own).and_then(held)
    }

    fn of_configuration(&self, name: &str) -> Option<Value<'_>> {
        let kind = &self.event.kind;
        match (name, kind) {
            ("TargetObject", Kind::Registry(registry)) => text(registry.path),
            ("Details" | "NewName", Kind::Registry(registry)) => text(registry.details),
            ("EventType", Kind::Registry(registry)) => registry
                .change
                .map(|change| Value::text(registry_word(change))),
            ("ServiceName", Kind::ServiceChange(service)) => text(service.name),
            ("ImagePath" | "ServiceFileName", Kind::ServiceChange(service)) => {
                text(service.command_line)
            }
            ("AccountName" | "ServiceAccount", Kind::ServiceChange(service)) => {
                text(service.account)
            }
            ("StartType" | "ServiceStartType", Kind::ServiceChange(service)) => text(service.start),
            ("ServiceName", Kind::DriverChange(driver)) => text(driver.name),
            ("ImagePath", Kind::DriverChange(driver)) => text(driver.path),
            ("TaskName", Kind::ScheduledTask(task)) => text(task.name),
            ("TaskContent" | "TaskContentNew", Kind::ScheduledTask(task)) => text(task.content),
            ("Path" | "ActionName", Kind::ScheduledTask(task)) => text(task.command_line),
            ("User" | "UserName" | "UserContext", Kind::ScheduledTask(task)) => text(task.account),
            ("Name", Kind::WmiSubscription(item)) => text(item.name),
            ("Destination" | "Query", Kind::WmiSubscription(item)) => text(item.content),
            ("User", Kind::WmiSubscription(item)) => text(item.account),
            ("ScriptBlockText" | "Payload", Kind::ScriptBlock(script)) => text(script.text),
            ("Path", Kind::ScriptBlock(script)) => text(script.path),
            ("ScriptBlockId", Kind::ScriptBlock(script)) => text(script.id),
            ("User", Kind::ScriptBlock(script)) => text(script.account),
            ("PipeName", Kind::Pipe(pipe)) => text(pipe.name),
            ("EventType", Kind::Pipe(pipe)) => {
                Some(Value::text(if pipe.change == Some(Change::Created) {
                    "CreatePipe"
                } else {
                    "ConnectPipe"
                }))
            }
            _ => None,
        }
    }

    /// Fields of a foreign record under its own names. One that stands there several times (the
    /// unnamed `Data` of a Windows record) has several values.
    fn of_record(&self, name: &str) -> Option<Value<'_>> {
        if self.event.source == Source::Sysmon {
            match name {
                "Channel" => return Some(Value::text("Microsoft-Windows-Sysmon/Operational")),
                "Provider_Name" => return Some(Value::text("Microsoft-Windows-Sysmon")),
                _ => {}
            }
        }
        let fields = self.record_fields(name).iter();
        let mut values = fields.map(|field| Value::Text(field.value.lossy()));
        let first = values.next()?;
        if let ("EventID", Value::Text(text)) = (name, &first)
            && let Ok(id) = text.parse()
        {
            return Some(Value::Number(id));
        }
        match values.next() {
            None => Some(first),
            Some(second) => Some(Value::Any(
                [first, second].into_iter().chain(values).collect(),
            )),
        }
    }

    /// Fields that every event has.
    fn common(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "Computer" | "ComputerName" | "Hostname" | "host" => {
                (!self.event.host.is_empty()).then(|| Value::Text(self.event.host.lossy()))
            }
            "kind" => Some(Value::text(self.event.kind.name().as_str())),
            "source" => Some(Value::text(self.event.source.as_str())),
            _ => None,
        }
    }

    /// An identity that no other process of any host or boot has.
    fn guid(&self, key: ProcessKey) -> Value<'_> {
        match key.guid {
            Some(guid) => owned(format!("{{{guid}}}")),
            None => owned(format!("{}/{}@{}", self.event.boot, key.pid, key.start_us)),
        }
    }
}

impl Subject for View<'_, '_> {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        // What a foreign record says itself goes before what is known from elsewhere.
        self.of_record(name)
            .or_else(|| self.of_kind(name))
            .or_else(|| {
                // Who a program's process was before has names of its own.
                let is_start = matches!(self.event.kind, Kind::ProcessStart(_));
                if is_start { None } else { self.of_actor(name) }
            })
            .or_else(|| self.common(name))
            .or_else(|| self.event.kind.get(name).and_then(held))
    }

    fn texts(&self, visit: &mut dyn FnMut(&str)) {
        if let Some(Value::Text(line)) = self.line(Line::Own) {
            visit(&line);
        }
        self.event.kind.visit(|_, value| {
            if let Held::Text(text) = value {
                visit(&text.lossy());
            }
        });
        for (_, value) in self.event.extra.iter() {
            visit(&value.lossy());
        }
    }
}

/// Whether the event is of Linux, by who can report it.
fn is_linux(event: &Event<'_>) -> bool {
    !matches!(
        event.source,
        Source::Sysmon | Source::Evtx | Source::Ecs | Source::Json
    )
}
