//! What replay and the graph cost: events a second on one core, and bytes an edge.
//!
//! `cargo run --release -p saigen-analyzer --example graph_cost [EVENTS]`
//!
//! The events are made up as they are taken, like those of a busy build machine that also serves:
//! for each process a fork, an exec with its arguments, libraries, files made, written, renamed
//! and removed, now and then a flow, and an exit. What making them costs is measured alone and
//! taken off. `docs/cost/graph.md` has the figures.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use saigen_analyzer::graph::GraphBuilder;
use saigen_analyzer::reference::{EventRef, SourceId};
use saigen_analyzer::replay::Replay;
use saigen_schemas::event::{
    Args, BootId, Event, Fields, FileCreated, FileDeleted, FileMapped, FileRenamed, FileWritten,
    Kind, Marks, Near, NetworkAccepted, NetworkClosed, NetworkConnected, ProcessExit, ProcessFork,
    ProcessKey, ProcessStart, Protocol, Source, Text, Time,
};

/// Distinct texts of each kind, as many as a large build has.
const PATHS: usize = 60_000;
const PROGRAMS: usize = 200;
const COMMANDS: usize = 20_000;

/// The events of one frame, for references.
const EVENTS_A_FRAME: u64 = 4096;

/// Texts that events borrow.
struct Words {
    paths: Vec<String>,
    programs: Vec<String>,
    commands: Vec<String>,
}

impl Words {
    fn new() -> Self {
        let path = |n: usize| format!("/build/work/project-{}/target/deps/unit-{n:05}.o", n % 97);
        let command = |n: usize| {
            format!("cc\0-O2\0-Wall\0-I/build/include\0-c\0-o\0unit-{n:05}.o\0src/unit-{n:05}.c\0")
        };
        Self {
            paths: (0..PATHS).map(path).collect(),
            programs: (0..PROGRAMS)
                .map(|n| format!("/usr/bin/tool-{n}"))
                .collect(),
            commands: (0..COMMANDS).map(command).collect(),
        }
    }

    fn path(&self, n: u64) -> Text<'_> {
        pick(&self.paths, n)
    }
}

fn pick(texts: &[String], n: u64) -> Text<'_> {
    let index = usize::try_from(n).unwrap_or_default() % texts.len();
    texts
        .get(index)
        .map_or(Text(b""), |text| text.as_str().into())
}

/// A stream of events that are made as they are taken.
struct Maker<'w, F> {
    words: &'w Words,
    take: F,
    seq: u64,
    last: u64,
    /// xorshift64: the same numbers in each run.
    random: u64,
}

impl<F: FnMut(EventRef, &Event<'_>)> Maker<'_, F> {
    fn any(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn tell(&mut self, actor: ProcessKey, kind: Kind<'_>) {
        let boot_us = 1_000_000 + self.seq * 50;
        let wall_us = 1_700_000_000_000_000 + i64::try_from(boot_us).unwrap_or_default();
        let event = Event {
            seq: self.seq,
            time: Time {
                wall_us,
                boot_us: Some(boot_us),
            },
            recorded_us: None,
            host: "builder".into(),
            boot: BootId([7; 16]),
            source: Source::Joined,
            actor: Some(actor),
            marks: Marks::default(),
            extra: Fields::default(),
            kind,
        };
        let index = u32::try_from(self.seq % EVENTS_A_FRAME).unwrap_or_default();
        (self.take)(
            EventRef::frame(SourceId(1), self.seq / EVENTS_A_FRAME, index),
            &event,
        );
        self.seq += 1;
    }

    fn run(&mut self) {
        let words = self.words;
        let mut parent = key(1, 1);
        let mut process = 0;
        while self.seq < self.last {
            process += 1;
            let actor = key(2 + process % 30_000, self.seq);
            self.tell(
                actor,
                Kind::ProcessFork(ProcessFork {
                    parent: Some(parent),
                }),
            );
            let image = pick(&words.programs, self.any() % 40);
            let args = pick(&words.commands, self.any());
            let start = ProcessStart {
                parent: Some(parent),
                image: Some(image),
                args: Some(Args(args.0)),
                cwd: Some("/build/work".into()),
                uid: Some(1000),
                euid: Some(1000),
                session: Some(3),
                ..ProcessStart::default()
            };
            self.tell(actor, Kind::ProcessStart(start));
            self.files(actor);
            if process % 10 == 0 {
                self.flow(actor, process);
            }
            self.tell(actor, Kind::ProcessExit(ProcessExit::default()));
            if process % 25 == 0 {
                // A further make begins, below the one before it or at the top again.
                parent = if self.any().is_multiple_of(8) {
                    key(1, 1)
                } else {
                    actor
                };
            }
        }
    }

    fn files(&mut self, actor: ProcessKey) {
        let words = self.words;
        for library in 0..2 {
            let path = Some(pick(&words.programs, 100 + library));
            self.tell(
                actor,
                Kind::FileMapped(FileMapped {
                    path,
                    ..FileMapped::default()
                }),
            );
        }
        let n = self.any();
        let (path, inode) = (Some(words.path(n)), Some(Near(n % 1_000_000)));
        let dev = Some(8);
        let created = FileCreated {
            path,
            inode,
            dev,
            ..FileCreated::default()
        };
        self.tell(actor, Kind::FileCreated(created));
        for _ in 0..2 {
            let written = FileWritten {
                path,
                inode,
                dev,
                ..FileWritten::default()
            };
            self.tell(actor, Kind::FileWritten(written));
        }
        if n.is_multiple_of(3) {
            let to = Some(words.path(n / 3));
            self.tell(
                actor,
                Kind::FileRenamed(FileRenamed {
                    path,
                    to,
                    inode,
                    dev,
                }),
            );
        } else if n.is_multiple_of(2) {
            let deleted = FileDeleted {
                path,
                inode,
                dev,
                ..FileDeleted::default()
            };
            self.tell(actor, Kind::FileDeleted(deleted));
        }
    }

    fn flow(&mut self, actor: ProcessKey, process: u32) {
        let here = Some(IpAddr::from([10, 0, 0, 5]));
        let there = Some(IpAddr::V4(Ipv4Addr::from(0xcb00_7100 | (process & 0xff))));
        let port = u16::try_from(process % 30_000).unwrap_or_default() + 32_768;
        let protocol = Some(Protocol::Tcp);
        let connected = NetworkConnected {
            protocol,
            local_ip: here,
            local_port: Some(port),
            remote_ip: there,
            remote_port: Some(443),
            ..NetworkConnected::default()
        };
        self.tell(actor, Kind::NetworkConnected(connected));
        let closed = NetworkClosed {
            protocol,
            local_ip: here,
            local_port: Some(port),
            remote_ip: there,
            remote_port: Some(443),
            sent_bytes: Some(500),
            received_bytes: Some(20_000),
            ..NetworkClosed::default()
        };
        self.tell(actor, Kind::NetworkClosed(closed));
        let accepted = NetworkAccepted {
            protocol,
            local_ip: here,
            local_port: Some(80),
            remote_ip: there,
            remote_port: Some(port),
            ..NetworkAccepted::default()
        };
        self.tell(key(1, 1), Kind::NetworkAccepted(accepted));
    }
}

fn key(pid: u32, start_us: u64) -> ProcessKey {
    ProcessKey::new(pid, start_us + 1)
}

fn timed(words: &Words, events: u64, take: impl FnMut(EventRef, &Event<'_>)) -> Duration {
    let begun = cpu_time();
    let mut maker = Maker {
        words,
        take,
        seq: 0,
        last: events,
        random: 0x9e37_79b9_7f4a_7c15,
    };
    maker.run();
    cpu_time() - begun
}

/// CPU time of this process: a machine that is busy with other work takes longer, not more.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(spent.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// How fast this machine copies memory just now, in bytes a CPU second: a yardstick.
fn copy_rate() -> f64 {
    let from = vec![1_u8; 64 << 20];
    let mut to = vec![0_u8; 64 << 20];
    let begun = cpu_time();
    for _ in 0..8 {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
    }
    8.0 * 67_108_864.0 / (cpu_time() - begun).as_secs_f64()
}

fn main() {
    let events = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(3_000_000);
    let words = Words::new();
    println!("copies memory at {:.1} GB/s", copy_rate() / 1e9);

    let making = timed(&words, events, |reference, event| {
        black_box((reference, event));
    });
    let mut replay = Replay::default();
    let replaying = timed(&words, events, |reference, event| {
        replay.apply(reference, event)
    });
    drop(replay);

    let mut replay = Replay::default();
    let mut builder = GraphBuilder::default();
    let building = timed(&words, events, |reference, event| {
        replay.apply(reference, event);
        builder.apply(reference, event, &replay);
    });
    let begun = cpu_time();
    let graph = builder.finish(replay);
    let finishing = cpu_time() - begun;

    let count = f64::from(u32::try_from(events).unwrap_or(u32::MAX));
    let rate = |taken: Duration| count / taken.saturating_sub(making).as_secs_f64() / 1e6;
    let nanos = |taken: Duration| taken.as_secs_f64() * 1e9 / count;
    println!(
        "{events} events, made in {:.0} ns each (taken off below)",
        nanos(making)
    );
    println!("replay:           {:.2} M events/s", rate(replaying));
    println!("replay and graph: {:.2} M events/s", rate(building));
    println!(
        "with finish:      {:.2} M events/s",
        rate(building + finishing)
    );
    println!("finish alone:     {:.2} s", finishing.as_secs_f64());
    let memory = graph.memory();
    println!("{} nodes, {} edges", graph.node_count(), graph.edge_count());
    for (name, bytes) in memory.parts() {
        println!(
            "{name:>10}: {:>7.1} MB",
            f64::from(u32::try_from(bytes >> 10).unwrap_or(0)) / 1024.0
        );
    }
    let edges = f64::from(u32::try_from(graph.edge_count()).unwrap_or(u32::MAX));
    let per = |bytes: usize| f64::from(u32::try_from(bytes >> 10).unwrap_or(0)) * 1024.0 / edges;
    println!(
        "{:.1} bytes an edge with its adjacency, {:.1} with the index of events",
        per(memory.edges + memory.adjacency),
        per(memory.edges + memory.adjacency + memory.events)
    );
}
