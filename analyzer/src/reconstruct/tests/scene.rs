//! A hand-made machine: each call is an event that a recorder could have written.

use std::net::IpAddr;
use std::sync::Arc;

use saigen_schemas::event::{
    Args, BootId, Event, Fields, FileCreated, FileDeleted, FileRead, FileWritten, Kind, Marks,
    Near, NetworkAccepted, NetworkClosed, NetworkConnected, NetworkListening, ProcessExit,
    ProcessFork, ProcessKey, ProcessStart, Protocol, Source, StateProcess, Text, Time,
};

use crate::detect::{Detection, Level, RuleInfo, Tactic};
use crate::graph::{Graph, GraphBuilder};
use crate::reconstruct::{Baseline, Connections, Input, Reconstruction, reconstruct};
use crate::reference::{EventRef, SourceId};
use crate::replay::Replay;

/// The wall clock when the machine booted, microseconds.
const BOOT_US: i64 = 1_700_000_000_000_000;

/// A machine whose events are taken in as they are made.
pub(super) struct Scene {
    replay: Replay,
    builder: GraphBuilder,
    connections: Connections,
    seq: u32,
    /// Milliseconds since the boot.
    pub(super) now: u64,
    next_pid: u32,
    detections: Vec<Detection<EventRef>>,
}

/// A process of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct P {
    pub(super) key: ProcessKey,
}

/// A finished scene.
pub(super) struct Recording {
    graph: Graph,
    connections: Connections,
    pub(super) detections: Vec<Detection<EventRef>>,
}

impl Recording {
    pub(super) fn reconstruct(&self) -> Reconstruction {
        self.reconstruct_beside(None)
    }

    /// The same beside what is known to be good.
    pub(super) fn reconstruct_beside(&self, baseline: Option<&Baseline>) -> Reconstruction {
        reconstruct(&Input {
            graph: &self.graph,
            connections: &self.connections,
            detections: &self.detections,
            gaps: &[],
            baseline,
        })
    }
}

impl Recording {
    /// What the rules found in it, as if it were known to be good.
    pub(super) fn baseline(&self) -> Baseline {
        Baseline::of(&self.graph, &self.detections, 0)
    }
}

fn joined(args: &[&str]) -> Vec<u8> {
    args.iter().flat_map(|arg| arg.bytes().chain([0])).collect()
}

impl Scene {
    pub(super) fn new() -> Self {
        Self {
            replay: Replay::default(),
            builder: GraphBuilder::default(),
            connections: Connections::default(),
            seq: 0,
            now: 1_000,
            next_pid: 100,
            detections: Vec::new(),
        }
    }

    /// Lets milliseconds pass.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms;
    }

    fn event(&mut self, actor: ProcessKey, kind: Kind<'_>) -> EventRef {
        let reference = EventRef::frame(SourceId(1), 1, self.seq);
        let boot_us = self.now * 1_000 + u64::from(self.seq % 1_000);
        let event = Event {
            seq: u64::from(self.seq),
            time: Time {
                wall_us: BOOT_US + i64::try_from(boot_us).unwrap(),
                boot_us: Some(boot_us),
            },
            recorded_us: None,
            host: Text(b"web-1"),
            boot: BootId([7; 16]),
            source: Source::Joined,
            actor: Some(actor),
            marks: Marks::default(),
            extra: Fields::default(),
            kind,
        };
        self.seq += 1;
        self.now += 1;
        self.replay.apply(reference, &event);
        self.builder.apply(reference, &event, &self.replay);
        self.connections.apply(reference, &event);
        reference
    }

    fn key(&mut self) -> ProcessKey {
        self.next_pid += 1;
        ProcessKey::new(self.next_pid, self.now * 1_000)
    }

    /// A process that stood before the recording.
    pub(super) fn stood(&mut self, parent: Option<P>, image: &str, args: &[&str]) -> P {
        let key = ProcessKey::new(self.key().pid, 1);
        let args = joined(args);
        self.event(
            key,
            Kind::StateProcess(StateProcess {
                parent: parent.map(|parent| parent.key),
                image: Some(image.into()),
                args: Some(Args(&args)),
                uid: Some(0),
                euid: Some(0),
                ..StateProcess::default()
            }),
        );
        P { key }
    }

    /// A copy of a process.
    pub(super) fn fork(&mut self, parent: P) -> P {
        let key = self.key();
        self.event(
            key,
            Kind::ProcessFork(ProcessFork {
                parent: Some(parent.key),
            }),
        );
        P { key }
    }

    /// A process that runs a program from its start.
    pub(super) fn start(&mut self, parent: P, uid: u32, args: &[&str]) -> (P, EventRef) {
        let child = self.fork(parent);
        let seen = self.exec(child, Some(parent), uid, args);
        (child, seen)
    }

    /// A process that goes on as another program.
    pub(super) fn exec(
        &mut self,
        process: P,
        parent: Option<P>,
        uid: u32,
        args: &[&str],
    ) -> EventRef {
        let name = args[0];
        let image = if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("/usr/bin/{name}")
        };
        let line = joined(args);
        self.event(
            process.key,
            Kind::ProcessStart(ProcessStart {
                parent: parent.map(|parent| parent.key),
                image: Some(image.as_str().into()),
                args: Some(Args(&line)),
                cwd: Some("/".into()),
                uid: Some(uid),
                euid: Some(uid),
                ..ProcessStart::default()
            }),
        )
    }

    pub(super) fn exit(&mut self, process: P) {
        self.event(
            process.key,
            Kind::ProcessExit(ProcessExit {
                code: Some(0),
                ..ProcessExit::default()
            }),
        );
    }

    pub(super) fn listen(&mut self, process: P, port: u16) {
        self.event(
            process.key,
            Kind::NetworkListening(NetworkListening {
                protocol: Some(Protocol::Tcp),
                local_ip: Some("0.0.0.0".parse().unwrap()),
                local_port: Some(port),
                path: None,
            }),
        );
    }

    pub(super) fn accept(&mut self, process: P, ip: &str, port: u16) -> EventRef {
        self.accept_at(process, 80, ip, port)
    }

    /// A connection to a port of the machine.
    pub(super) fn accept_at(
        &mut self,
        process: P,
        local_port: u16,
        ip: &str,
        port: u16,
    ) -> EventRef {
        self.event(
            process.key,
            Kind::NetworkAccepted(NetworkAccepted {
                protocol: Some(Protocol::Tcp),
                local_ip: Some("10.0.0.5".parse().unwrap()),
                local_port: Some(local_port),
                remote_ip: Some(ip.parse::<IpAddr>().unwrap()),
                remote_port: Some(port),
                ..NetworkAccepted::default()
            }),
        )
    }

    pub(super) fn connect(&mut self, process: P, ip: &str, port: u16) -> EventRef {
        self.connect_from(process, 40_000, ip, port)
    }

    /// A connection from a port of the machine.
    pub(super) fn connect_from(
        &mut self,
        process: P,
        local_port: u16,
        ip: &str,
        port: u16,
    ) -> EventRef {
        self.event(
            process.key,
            Kind::NetworkConnected(NetworkConnected {
                protocol: Some(Protocol::Tcp),
                local_ip: Some("10.0.0.5".parse().unwrap()),
                local_port: Some(local_port),
                remote_ip: Some(ip.parse::<IpAddr>().unwrap()),
                remote_port: Some(port),
                ..NetworkConnected::default()
            }),
        )
    }

    pub(super) fn close(&mut self, process: P, ip: &str, port: u16, sent: u64, received: u64) {
        self.event(
            process.key,
            Kind::NetworkClosed(NetworkClosed {
                protocol: Some(Protocol::Tcp),
                local_ip: Some("10.0.0.5".parse().unwrap()),
                local_port: Some(40_000),
                remote_ip: Some(ip.parse::<IpAddr>().unwrap()),
                remote_port: Some(port),
                sent_bytes: Some(sent),
                received_bytes: Some(received),
                ..NetworkClosed::default()
            }),
        );
    }

    pub(super) fn write(&mut self, process: P, path: &str, inode: u64) -> EventRef {
        self.event(
            process.key,
            Kind::FileCreated(FileCreated {
                path: Some(path.into()),
                inode: Some(Near(inode)),
                dev: Some(1),
                ..FileCreated::default()
            }),
        );
        self.append(process, path, inode)
    }

    pub(super) fn append(&mut self, process: P, path: &str, inode: u64) -> EventRef {
        self.event(
            process.key,
            Kind::FileWritten(FileWritten {
                path: Some(path.into()),
                inode: Some(Near(inode)),
                dev: Some(1),
                size: Some(4_096),
                ..FileWritten::default()
            }),
        )
    }

    pub(super) fn delete(&mut self, process: P, path: &str, inode: u64) -> EventRef {
        self.event(
            process.key,
            Kind::FileDeleted(FileDeleted {
                path: Some(path.into()),
                inode: Some(Near(inode)),
                dev: Some(1),
                ..FileDeleted::default()
            }),
        )
    }

    pub(super) fn read(&mut self, process: P, path: &str) -> EventRef {
        self.event(
            process.key,
            Kind::FileRead(FileRead {
                path: Some(path.into()),
                ..FileRead::default()
            }),
        )
    }

    /// A rule fires on an event of a process.
    pub(super) fn finds(
        &mut self,
        rule: &str,
        level: Level,
        tactics: &[Tactic],
        process: P,
        event: EventRef,
    ) {
        let rule = RuleInfo {
            id: rule.to_owned(),
            title: rule.replace('-', " "),
            level,
            description: String::new(),
            techniques: vec!["T1000".to_owned()],
            tactics: tactics.to_vec(),
            tags: Vec::new(),
            references: Vec::new(),
            false_positives: Vec::new(),
            source: "linux".to_owned(),
            file: String::new(),
        };
        let boot_us = self.now * 1_000;
        self.detections.push(Detection {
            rule: Arc::new(rule),
            time: Time {
                wall_us: BOOT_US + i64::try_from(boot_us).unwrap(),
                boot_us: Some(boot_us),
            },
            host: "web-1".to_owned(),
            process: Some(process.key),
            events: vec![event],
            fields: Vec::new(),
            why: String::new(),
        });
    }

    pub(super) fn done(self) -> Recording {
        Recording {
            graph: self.builder.finish(self.replay),
            connections: self.connections,
            detections: self.detections,
        }
    }
}
