//! Events from JSON, for tests: every member must be known, so that a misspelt one is noticed.

use std::collections::BTreeSet;

use saigen_analyzer::detect::{Context, ProcessFacts};
use saigen_schemas::event::{
    Args, BootId, BpfLoaded, Change, ClockStep, CredentialsChanged, Event, FailedLogon, Fields,
    FieldsBuf, FileAttributes, FileCreated, FileDeleted, FileLinked, FileMapped, FileRead,
    FileRenamed, FileWritten, Hash32, Kind, LogCleared, Logon, Marks, ModuleLoaded, Mounted,
    NetworkAccepted, NetworkClosed, NetworkConnected, NetworkListening, NetworkResolved, Outcome,
    Pipe, PrivilegeSwitch, ProcessKey, ProcessOpened, ProcessStart, ProcessTraced, Protocol,
    RecordRaw, Registry, ScheduledTask, ScriptBlock, ServiceChange, Source, StateAutostart,
    StateProcess, Text, Time, Touch, WmiSubscription,
};
use serde_json::{Map, Value};

/// One JSON object whose members are taken one by one, so that a misspelt one is noticed.
struct Members<'j> {
    object: &'j Map<String, Value>,
    taken: BTreeSet<&'static str>,
}

impl<'j> Members<'j> {
    fn new(value: &'j Value) -> Self {
        Self {
            object: value.as_object().expect("an object"),
            taken: BTreeSet::new(),
        }
    }

    fn get(&mut self, name: &'static str) -> Option<&'j Value> {
        self.taken.insert(name);
        self.object.get(name)
    }

    fn text(&mut self, name: &'static str) -> Option<Text<'static>> {
        self.get(name)
            .map(|value| leak(value.as_str().expect(name)).into())
    }

    fn number<N: TryFrom<i64>>(&mut self, name: &'static str) -> Option<N> {
        let number = self.get(name)?.as_i64().expect(name);
        Some(N::try_from(number).ok().expect(name))
    }

    fn parse<T: std::str::FromStr>(&mut self, name: &'static str) -> Option<T> {
        Some(
            self.get(name)?
                .as_str()
                .expect(name)
                .parse()
                .ok()
                .expect(name),
        )
    }

    fn args(&mut self, name: &'static str) -> Option<Args<'static>> {
        let list = self.get(name)?.as_array().expect(name);
        let joined: String = list
            .iter()
            .map(|arg| format!("{}\0", arg.as_str().expect(name)))
            .collect();
        Some(Args(leak(&joined).as_bytes()))
    }

    fn hash(&mut self, name: &'static str) -> Option<Hash32> {
        let text = self.get(name)?.as_str().expect(name);
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).expect(name);
        }
        Some(Hash32(bytes))
    }

    fn word<W: Copy + std::fmt::Display>(&mut self, name: &'static str, all: &[W]) -> Option<W> {
        let text = self.get(name)?.as_str().expect(name);
        Some(
            *all.iter()
                .find(|word| word.to_string() == text)
                .unwrap_or_else(|| panic!("{name}: {text}")),
        )
    }

    fn key(&mut self, name: &'static str) -> Option<ProcessKey> {
        let object = self.get(name)?.as_object().expect(name);
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let pid = u32::try_from(number("pid").unwrap_or(1)).expect("pid");
        Some(ProcessKey::new(
            pid,
            number("start_us").unwrap_or(u64::from(pid) * 1000),
        ))
    }

    fn facts(&mut self, name: &'static str) -> Option<ProcessFacts<'static>> {
        let key = self.key(name)?;
        let mut of = Members::new(self.get(name)?);
        of.taken.extend(["pid", "start_us"]);
        let facts = ProcessFacts {
            key,
            image: of.text("image"),
            args: of.args("args"),
            command_line: of.text("command_line"),
            cwd: of.text("cwd"),
            account: of.text("account"),
            uid: of.number("uid"),
            euid: of.number("euid"),
            login_uid: of.number("login_uid"),
        };
        of.finish();
        Some(facts)
    }

    fn finish(&self) {
        for name in self.object.keys() {
            assert!(self.taken.contains(name.as_str()), "unknown member {name}");
        }
    }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// An event, and what is known around it.
pub struct Told {
    pub event: Event<'static>,
    pub context: Context<'static>,
}

/// Reads an event.
pub fn told(value: &Value) -> Told {
    let mut of = Members::new(value);
    let name = of.get("kind").and_then(Value::as_str).expect("kind");
    let kind = kind(name, &mut of);
    let at: i64 = of.number("at").unwrap_or(0);
    let mut extra = FieldsBuf::default();
    if let Some(fields) = of.get("fields") {
        for (name, value) in fields.as_object().expect("fields") {
            extra.push(name.as_bytes(), value.as_str().expect(name).as_bytes());
        }
    }
    let extra: &'static FieldsBuf = Box::leak(Box::new(extra));
    let event = Event {
        seq: 0,
        time: Time {
            wall_us: 1_700_000_000_000_000 + at * 1_000_000,
            boot_us: None,
        },
        recorded_us: None,
        host: of.text("host").unwrap_or("host".into()),
        boot: BootId([7; 16]),
        source: of.word("source", Source::ALL).unwrap_or(Source::Joined),
        actor: of.key("actor").or(Some(ProcessKey::new(500, 1))),
        marks: Marks(b""),
        extra: if extra.as_fields().is_empty() {
            Fields(b"")
        } else {
            extra.as_fields()
        },
        kind,
    };
    let context = Context {
        actor: of.facts("actor"),
        parent: of.facts("parent"),
    };
    of.finish();
    Told { event, context }
}

fn kind(name: &str, of: &mut Members<'_>) -> Kind<'static> {
    match name {
        "process.start" => Kind::ProcessStart(ProcessStart {
            parent: of.key("parent"),
            image: of.text("image"),
            args: of.args("args"),
            command_line: of.text("command_line"),
            cwd: of.text("cwd"),
            uid: of.number("uid"),
            euid: of.number("euid"),
            login_uid: of.number("login_uid"),
            session: of.number("session"),
            account: of.text("account"),
            script: of.text("script"),
            sha256: of.hash("sha256"),
            environment: of.args("environment"),
            parent_image: of.text("parent_image"),
            parent_command_line: of.text("parent_command_line"),
            original_name: of.text("original_name"),
            integrity: of.text("integrity"),
            ..ProcessStart::default()
        }),
        "process.credentials_changed" => Kind::CredentialsChanged(CredentialsChanged {
            call: of.text("call"),
            old_uid: of.number("old_uid"),
            uid: of.number("uid"),
            old_euid: of.number("old_euid"),
            euid: of.number("euid"),
            outcome: of.word("outcome", Outcome::ALL),
            ..CredentialsChanged::default()
        }),
        "process.traced" => Kind::ProcessTraced(ProcessTraced {
            target: of.key("target"),
            how: of.word("how", Touch::ALL),
            target_image: of.text("target_image"),
            start_place: of.text("start_place"),
            outcome: of.word("outcome", Outcome::ALL),
        }),
        "process.opened" => Kind::ProcessOpened(ProcessOpened {
            target: of.key("target"),
            target_image: of.text("target_image"),
            access: of.number("access"),
            call_trace: of.text("call_trace"),
        }),
        "network.connected" | "network.accepted" | "network.listening" | "network.closed"
        | "network.resolved" => network(name, of),
        "session.logon"
        | "session.failed_logon"
        | "session.privilege_switch"
        | "kernel.module_loaded"
        | "kernel.bpf_loaded"
        | "kernel.mounted"
        | "record.clock_step"
        | "record.log_cleared" => session_or_kernel(name, of),
        "configuration.registry"
        | "configuration.service"
        | "configuration.scheduled_task"
        | "configuration.wmi_subscription"
        | "script.block"
        | "script.pipe" => configuration(name, of),
        _ => file(name, of),
    }
}

fn file(name: &str, of: &mut Members<'_>) -> Kind<'static> {
    let path = of.text("path");
    match name {
        "file.created" => Kind::FileCreated(FileCreated {
            path,
            mode: of.number("mode"),
            ..FileCreated::default()
        }),
        "file.written" => Kind::FileWritten(FileWritten {
            path,
            size: of.number("size"),
            mode: of.number("mode"),
            ..FileWritten::default()
        }),
        "file.renamed" => Kind::FileRenamed(FileRenamed {
            path,
            to: of.text("to"),
            ..FileRenamed::default()
        }),
        "file.linked" => Kind::FileLinked(FileLinked {
            path,
            target: of.text("target"),
            ..FileLinked::default()
        }),
        "file.deleted" => Kind::FileDeleted(FileDeleted {
            path,
            ..FileDeleted::default()
        }),
        "file.attributes" => Kind::FileAttributes(FileAttributes {
            path,
            mode: of.number("mode"),
            xattr: of.text("xattr"),
            ..FileAttributes::default()
        }),
        "file.read" => Kind::FileRead(FileRead {
            path,
            outcome: of.word("outcome", Outcome::ALL),
            ..FileRead::default()
        }),
        "file.mapped" => Kind::FileMapped(FileMapped {
            path,
            ..FileMapped::default()
        }),
        "state.autostart" => Kind::StateAutostart(StateAutostart {
            path,
            command: of.text("command"),
            ..StateAutostart::default()
        }),
        "record.raw" => Kind::RecordRaw(RecordRaw {
            channel: of.text("channel"),
            provider: of.text("provider"),
            event_id: of.number("event_id"),
            ..RecordRaw::default()
        }),
        "state.process" => Kind::StateProcess(StateProcess {
            image: of.text("image"),
            args: of.args("args"),
            ..StateProcess::default()
        }),
        other => panic!("no rule is tested with {other}"),
    }
}

fn network(name: &str, of: &mut Members<'_>) -> Kind<'static> {
    let protocol = of.word("protocol", Protocol::ALL);
    let (local_ip, local_port) = (of.parse("local_ip"), of.number("local_port"));
    let (remote_ip, remote_port) = (of.parse("remote_ip"), of.number("remote_port"));
    match name {
        "network.connected" => Kind::NetworkConnected(NetworkConnected {
            protocol,
            local_ip,
            local_port,
            remote_ip,
            remote_port,
            path: of.text("path"),
            remote_host: of.text("remote_host"),
            outcome: of.word("outcome", Outcome::ALL),
            ..NetworkConnected::default()
        }),
        "network.accepted" => Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            local_ip,
            local_port,
            remote_ip,
            remote_port,
            ..NetworkAccepted::default()
        }),
        "network.listening" => Kind::NetworkListening(NetworkListening {
            protocol,
            local_ip,
            local_port,
            path: of.text("path"),
        }),
        "network.closed" => Kind::NetworkClosed(NetworkClosed {
            protocol,
            local_ip,
            local_port,
            remote_ip,
            remote_port,
            sent_bytes: of.number("sent_bytes"),
            received_bytes: of.number("received_bytes"),
            ..NetworkClosed::default()
        }),
        _ => Kind::NetworkResolved(NetworkResolved {
            query: of.text("query"),
            ..NetworkResolved::default()
        }),
    }
}

fn session_or_kernel(name: &str, of: &mut Members<'_>) -> Kind<'static> {
    match name {
        "session.logon" => Kind::Logon(Logon {
            account: of.text("account"),
            remote_ip: of.parse("remote_ip"),
            logon_type: of.text("logon_type"),
            program: of.text("program"),
            ..Logon::default()
        }),
        "session.failed_logon" => Kind::FailedLogon(FailedLogon {
            account: of.text("account"),
            remote_ip: of.parse("remote_ip"),
            logon_type: of.text("logon_type"),
            program: of.text("program"),
            ..FailedLogon::default()
        }),
        "session.privilege_switch" => Kind::PrivilegeSwitch(PrivilegeSwitch {
            account: of.text("account"),
            to_account: of.text("to_account"),
            program: of.text("program"),
            command: of.text("command"),
            outcome: of.word("outcome", Outcome::ALL),
            ..PrivilegeSwitch::default()
        }),
        "kernel.module_loaded" => Kind::ModuleLoaded(ModuleLoaded {
            name: of.text("name"),
            path: of.text("path"),
            ..ModuleLoaded::default()
        }),
        "kernel.bpf_loaded" => Kind::BpfLoaded(BpfLoaded {
            name: of.text("name"),
            ..BpfLoaded::default()
        }),
        "kernel.mounted" => Kind::Mounted(Mounted {
            device: of.text("device"),
            path: of.text("path"),
            filesystem: of.text("filesystem"),
            change: of.word("change", Change::ALL),
            ..Mounted::default()
        }),
        "record.clock_step" => Kind::ClockStep(ClockStep {
            old_offset_us: of.number("old_offset_us"),
            offset_us: of.number("offset_us"),
        }),
        _ => Kind::LogCleared(LogCleared {
            name: of.text("name"),
            account: of.text("account"),
        }),
    }
}

fn configuration(name: &str, of: &mut Members<'_>) -> Kind<'static> {
    let change = of.word("change", Change::ALL);
    match name {
        "configuration.registry" => Kind::Registry(Registry {
            change,
            path: of.text("path"),
            details: of.text("details"),
        }),
        "configuration.service" => Kind::ServiceChange(ServiceChange {
            change,
            name: of.text("name"),
            command_line: of.text("command_line"),
            account: of.text("account"),
            start: of.text("start"),
        }),
        "configuration.scheduled_task" => Kind::ScheduledTask(ScheduledTask {
            change,
            name: of.text("name"),
            command_line: of.text("command_line"),
            content: of.text("content"),
            ..ScheduledTask::default()
        }),
        "configuration.wmi_subscription" => Kind::WmiSubscription(WmiSubscription {
            change,
            item: of.text("item"),
            name: of.text("name"),
            content: of.text("content"),
            ..WmiSubscription::default()
        }),
        "script.block" => Kind::ScriptBlock(ScriptBlock {
            text: of.text("text"),
            path: of.text("path"),
            ..ScriptBlock::default()
        }),
        _ => Kind::Pipe(Pipe {
            change,
            name: of.text("name"),
        }),
    }
}
