//! What stands open at a moment: connections, listeners, sessions, files being touched.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Write};
use std::net::IpAddr;

use saigen_schemas::event::{Event, Kind, Outcome, Protocol, Text, format_utc};

use crate::replay::show::{Dress, JsonLine};
use crate::replay::{HostId, Processes, Replay, Step, Tree, TreeOptions, UnitId};

/// Most files that are remembered of one process: the last ones.
const FILES_MAX: usize = 8;

/// A file that was touched no longer ago than this is being touched.
const TOUCHED_US: i64 = 60_000_000;

/// Most sockets, and most processes with files, before those of ended processes are dropped.
const PRUNE_FROM: usize = 4096;

/// A socket: where it is, and where it leads. It is its own key, so that it is shown in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Socket {
    host: HostId,
    protocol: Option<Protocol>,
    local: (Option<IpAddr>, Option<u16>),
    remote: (Option<IpAddr>, Option<u16>),
    path: Option<Vec<u8>>,
    /// The owner, where two processes could not be told apart otherwise.
    unit: Option<UnitId>,
}

/// Who has a socket, and since when.
#[derive(Clone, Copy, Debug)]
struct Held {
    unit: Option<UnitId>,
    since_us: i64,
}

/// A login session.
#[derive(Clone, Debug, Default)]
struct Login {
    account: Option<Vec<u8>>,
    terminal: Option<Vec<u8>>,
    remote_ip: Option<IpAddr>,
    since_us: i64,
}

/// A file that a process touched.
#[derive(Clone, Debug)]
struct TouchedFile {
    at_us: i64,
    /// The kind of the event.
    how: &'static str,
    path: Vec<u8>,
}

/// What stands open, as far as events were applied. It takes each event after the [`Replay`].
#[derive(Default)]
pub struct Standing {
    connections: BTreeMap<Socket, Held>,
    listeners: BTreeMap<Socket, Held>,
    sessions: BTreeMap<(HostId, u64), Login>,
    files: HashMap<UnitId, VecDeque<TouchedFile>>,
    /// How many things there may be before ended processes are looked for.
    prune_at: usize,
}

fn owned(text: Option<Text<'_>>) -> Option<Vec<u8>> {
    text.filter(|text| !text.is_empty())
        .map(|text| text.0.to_vec())
}

impl Standing {
    /// Takes the next event, which the replay has just taken.
    pub fn apply(&mut self, event: &Event<'_>, replay: &Replay) {
        let Some(applied) = replay.applied() else {
            return;
        };
        let held = Held {
            unit: applied.actor,
            since_us: event.time.wall_us,
        };
        self.take_network(applied.host, held, &event.kind);
        self.take_session(applied.host, event);
        if let Some(unit) = applied.actor {
            self.take_file(unit, event);
        }
        if applied.step == Step::Ended {
            self.prune(replay.processes());
        }
    }

    fn take_network(&mut self, host: HostId, held: Held, kind: &Kind<'_>) {
        if let Kind::NetworkConnected(net) = kind {
            if net.outcome != Some(Outcome::Failure) {
                let local = (net.local_ip, net.local_port);
                let remote = (net.remote_ip, net.remote_port);
                self.open(
                    Socket::new(host, net.protocol, local, remote, net.path),
                    held,
                );
            }
        } else if let Kind::NetworkAccepted(net) = kind {
            let local = (net.local_ip, net.local_port);
            let remote = (net.remote_ip, net.remote_port);
            self.open(
                Socket::new(host, net.protocol, local, remote, net.path),
                held,
            );
        } else if let Kind::NetworkListening(net) = kind {
            let local = (net.local_ip, net.local_port);
            let socket = Socket::new(host, net.protocol, local, (None, None), net.path);
            self.listeners.insert(socket, held);
        } else if let Kind::StateSocket(net) = kind {
            let local = (net.local_ip, net.local_port);
            let remote = (net.remote_ip, net.remote_port);
            let socket = Socket::new(host, net.protocol, local, remote, net.path);
            if remote.1.is_some_and(|port| port != 0) {
                self.open(socket, held);
            } else {
                self.listeners.insert(socket, held);
            }
        } else if let Kind::NetworkClosed(net) = kind {
            let local = (net.local_ip, net.local_port);
            let remote = (net.remote_ip, net.remote_port);
            let socket = Socket::new(host, net.protocol, local, remote, None);
            if self.connections.remove(&socket).is_none() && held.unit.is_some() {
                // It was opened without its own end being known.
                let unknown = Socket {
                    local: (None, None),
                    unit: held.unit,
                    ..socket
                };
                self.connections.remove(&unknown);
            }
        }
    }

    /// A connection. One of which the own port is not known is one for each process.
    fn open(&mut self, mut socket: Socket, held: Held) {
        if socket.local.1.is_none() {
            socket.local = (None, None);
            socket.unit = held.unit;
        }
        self.connections.entry(socket).or_insert(held).unit = held.unit;
    }

    fn take_session(&mut self, host: HostId, event: &Event<'_>) {
        if let Kind::Logon(logon) = &event.kind {
            if let Some(session) = logon.session {
                let login = Login {
                    account: owned(logon.account),
                    terminal: owned(logon.terminal),
                    remote_ip: logon.remote_ip,
                    since_us: event.time.wall_us,
                };
                self.sessions.insert((host, session), login);
            }
        } else if let Kind::Logoff(logoff) = &event.kind
            && let Some(session) = logoff.session
        {
            self.sessions.remove(&(host, session));
        }
    }

    fn take_file(&mut self, unit: UnitId, event: &Event<'_>) {
        let how = event.kind.name().as_str();
        if !how.starts_with("file.") {
            return;
        }
        let Some(saigen_schemas::event::Value::Text(path)) = event.kind.get("path") else {
            return;
        };
        let list = self.files.entry(unit).or_default();
        list.retain(|file| file.path != path.0);
        if list.len() >= FILES_MAX {
            list.pop_front();
        }
        list.push_back(TouchedFile {
            at_us: event.time.wall_us,
            how,
            path: path.0.to_vec(),
        });
    }

    /// Drops what belongs to ended processes, each time as much has come as stayed the last time.
    fn prune(&mut self, processes: &Processes) {
        let held = self.connections.len() + self.listeners.len() + self.files.len();
        if held < self.prune_at.max(PRUNE_FROM) {
            return;
        }
        let lives = |held: &Held| held.unit.is_none_or(|unit| !processes.has_ended(unit));
        self.connections.retain(|_, held| lives(held));
        self.listeners.retain(|_, held| lives(held));
        self.files.retain(|&unit, _| !processes.has_ended(unit));
        self.prune_at = 2 * (self.connections.len() + self.listeners.len() + self.files.len());
    }

    /// Writes the state for a reader.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn write_text(
        &self,
        out: &mut impl Write,
        replay: &Replay,
        dress: &Dress<'_>,
    ) -> io::Result<()> {
        let processes = replay.processes();
        let now_us = replay.now_us();
        writeln!(out, "state at {}", (dress.time)(now_us))?;
        writeln!(out, "\nprocesses")?;
        let options = TreeOptions {
            at_us: Some(now_us),
            ..TreeOptions::default()
        };
        Tree::new(processes, options).write_text(out, dress)?;
        writeln!(out, "\nconnections")?;
        for (socket, held) in self.alive(&self.connections, processes) {
            self.write_socket(out, processes, (socket, held), dress)?;
        }
        writeln!(out, "\nlisteners")?;
        for (socket, held) in self.alive(&self.listeners, processes) {
            self.write_socket(out, processes, (socket, held), dress)?;
        }
        writeln!(out, "\nsessions")?;
        for ((host, session), login) in &self.sessions {
            let host = (dress.text)(&processes.host_name(*host).lossy());
            let part = |text: &Option<Vec<u8>>| {
                let text = text.as_deref().unwrap_or(b"?");
                (dress.text)(&String::from_utf8_lossy(text))
            };
            let (account, terminal) = (part(&login.account), part(&login.terminal));
            let from = login
                .remote_ip
                .map(|ip| format!(" from {ip}"))
                .unwrap_or_default();
            let since = (dress.time)(login.since_us);
            writeln!(
                out,
                "  {host} {session}: {account} on {terminal}{from} since {since}"
            )?;
        }
        writeln!(out, "\nfiles being touched")?;
        for (unit, file) in self.touched(processes, now_us) {
            let who = (dress.text)(&processes.label(unit));
            let path = (dress.text)(&String::from_utf8_lossy(&file.path));
            writeln!(
                out,
                "  {who}: {path} ({}, {})",
                file.how,
                (dress.time)(file.at_us)
            )?;
        }
        Ok(())
    }

    fn write_socket(
        &self,
        out: &mut impl Write,
        processes: &Processes,
        (socket, held): (&Socket, &Held),
        dress: &Dress<'_>,
    ) -> io::Result<()> {
        let host = (dress.text)(&processes.host_name(socket.host).lossy());
        let who = held.unit.map(|unit| processes.label(unit));
        let who = (dress.text)(who.as_deref().unwrap_or("?"));
        let since = (dress.time)(held.since_us);
        let protocol = socket.protocol.map_or("?", Protocol::as_str);
        let place = socket.place();
        let place = (dress.text)(&place);
        writeln!(out, "  {host} {protocol} {place}  [{who}, since {since}]")
    }

    /// Sockets whose owner has not ended.
    fn alive<'s>(
        &'s self,
        sockets: &'s BTreeMap<Socket, Held>,
        processes: &'s Processes,
    ) -> impl Iterator<Item = (&'s Socket, &'s Held)> {
        let lives = |held: &Held| held.unit.is_none_or(|unit| !processes.has_ended(unit));
        sockets.iter().filter(move |(_, held)| lives(held))
    }

    /// Files touched a moment ago by processes that still live, by process and time.
    fn touched(&self, processes: &Processes, now_us: i64) -> Vec<(UnitId, &TouchedFile)> {
        let lists = self
            .files
            .iter()
            .filter(|(unit, _)| !processes.has_ended(**unit));
        let files = lists.flat_map(|(&unit, list)| list.iter().map(move |file| (unit, file)));
        let recent = |file: &TouchedFile| now_us.saturating_sub(file.at_us) < TOUCHED_US;
        let mut files: Vec<_> = files.filter(|(_, file)| recent(file)).collect();
        files.sort_by(|a, b| (a.0, a.1.at_us, &a.1.path).cmp(&(b.0, b.1.at_us, &b.1.path)));
        files
    }

    /// Writes the state for machines: one JSON object a line, each with `what` it is: `moment`,
    /// `process` (as in the tree), `connection`, `listener`, `session`, `file`.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn write_json(&self, out: &mut impl Write, replay: &Replay) -> io::Result<()> {
        let processes = replay.processes();
        let now_us = replay.now_us();
        let mut line = JsonLine::of("moment");
        line.word("time", &format_utc(now_us));
        line.write(out)?;
        let options = TreeOptions {
            at_us: Some(now_us),
            ..TreeOptions::default()
        };
        Tree::new(processes, options).write_json(out)?;
        let kinds = [
            ("connection", &self.connections),
            ("listener", &self.listeners),
        ];
        for (what, sockets) in kinds {
            for (socket, held) in self.alive(sockets, processes) {
                socket.json(what, held, processes).write(out)?;
            }
        }
        for ((host, session), login) in &self.sessions {
            let mut line = JsonLine::of("session");
            line.text("host", Some(processes.host_name(*host)));
            line.number("session", *session);
            line.text("account", login.account.as_deref().map(Text));
            line.text("terminal", login.terminal.as_deref().map(Text));
            if let Some(ip) = login.remote_ip {
                line.word("remote_ip", &ip.to_string());
            }
            line.word("since", &format_utc(login.since_us));
            line.write(out)?;
        }
        for (unit, file) in self.touched(processes, now_us) {
            let mut line = JsonLine::of("file");
            line.number("process", unit.index() as u64);
            line.maybe("pid", processes.pid(unit).map(u64::from));
            line.text("path", Some(Text(&file.path)));
            line.word("how", file.how);
            line.word("time", &format_utc(file.at_us));
            line.write(out)?;
        }
        Ok(())
    }
}

impl Socket {
    fn new(
        host: HostId,
        protocol: Option<Protocol>,
        local: (Option<IpAddr>, Option<u16>),
        remote: (Option<IpAddr>, Option<u16>),
        path: Option<Text<'_>>,
    ) -> Self {
        Self {
            host,
            protocol,
            local,
            remote,
            path: owned(path),
            unit: None,
        }
    }

    /// Where it is and where it leads, for a reader.
    fn place(&self) -> String {
        let place = |(ip, port): (Option<IpAddr>, Option<u16>)| {
            let ip = ip.map_or_else(
                || "?".to_owned(),
                |ip| match ip {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                },
            );
            let port = port.map_or_else(|| "?".to_owned(), |port| port.to_string());
            format!("{ip}:{port}")
        };
        match &self.path {
            Some(path) => String::from_utf8_lossy(path).into_owned(),
            None if self.remote == (None, None) => place(self.local),
            None => format!("{} → {}", place(self.local), place(self.remote)),
        }
    }

    fn json(&self, what: &str, held: &Held, processes: &Processes) -> JsonLine {
        let mut line = JsonLine::of(what);
        line.text("host", Some(processes.host_name(self.host)));
        line.maybe("process", held.unit.map(|unit| unit.index() as u64));
        line.maybe(
            "pid",
            held.unit
                .and_then(|unit| processes.pid(unit))
                .map(u64::from),
        );
        if let Some(protocol) = self.protocol {
            line.word("protocol", protocol.as_str());
        }
        for (name, (ip, port)) in [("local", self.local), ("remote", self.remote)] {
            if let Some(ip) = ip {
                line.word(&format!("{name}_ip"), &ip.to_string());
            }
            line.maybe(&format!("{name}_port"), port.map(u64::from));
        }
        line.text("path", self.path.as_deref().map(Text));
        line.word("since", &format_utc(held.since_us));
        line
    }
}
