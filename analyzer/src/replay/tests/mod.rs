//! What replay promises.

mod tale;

use std::collections::VecDeque;

use proptest::prelude::*;
use saigen_schemas::event::{
    CredentialsChanged, Event, Guid, Kind, Logon, NetworkClosed, NetworkConnected,
    NetworkListening, ProcessFork, ProcessKey, ProcessStart, Protocol, StateAccount, Text,
};

use crate::reference::EventRef;
use crate::replay::{Dress, Merge, Replay, Standing, Step, Tree, TreeOptions};
use crate::stream::{EventStream, Gap};
pub(crate) use tale::{Tale, WALL_US, key};

/// A tale as a stream.
struct Told(VecDeque<(EventRef, Event<'static>)>);

impl EventStream for Told {
    fn peek(&mut self) -> Option<i64> {
        self.0.front().map(|(_, event)| event.time.wall_us)
    }
    fn next(&mut self) -> Option<(EventRef, Event<'_>)> {
        self.0.pop_front()
    }
    fn gaps(&self) -> &[Gap] {
        &[]
    }
}

fn replayed(tale: &Tale) -> Replay {
    let mut replay = Replay::default();
    for (reference, event) in &tale.events {
        replay.apply(*reference, event);
    }
    replay
}

fn dress() -> Dress<'static> {
    Dress {
        time: &|us| format!("+{}", (us - WALL_US) / 1000),
        text: &|text| text.replace('\x1b', "^["),
    }
}

fn tree(replay: &Replay, options: TreeOptions) -> String {
    let mut out = Vec::new();
    Tree::new(replay.processes(), options)
        .write_text(&mut out, &dress())
        .unwrap();
    String::from_utf8(out).unwrap()
}

fn merged(order: &[usize]) -> Vec<EventRef> {
    let tales =
        [("one", 1_u32, 0), ("two", 2, 500), ("three", 3, 0)].map(|(host, source, late)| {
            let mut tale = Tale::on(host, source);
            tale.wait(late);
            for pid in 10..20 {
                tale.fork(1, pid);
            }
            tale
        });
    let streams = order.iter().map(|&index| {
        let tale = &tales[index];
        let rank = [9 - u8::try_from(index).unwrap(); 32];
        (rank, Told(tale.events.iter().copied().collect()))
    });
    let mut merge = Merge::new(streams);
    let mut seen = Vec::new();
    while merge.step(|reference, _| seen.push(reference)) {}
    seen
}

#[test]
fn the_order_of_sources_does_not_matter() {
    let first = merged(&[0, 1, 2]);
    assert_eq!(first.len(), 30);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(merged(&order), first);
    }
    let sources: Vec<_> = first.iter().take(3).map(|event| event.source().0).collect();
    assert_eq!(sources, [3, 1, 2], "one moment by rank, then time");
}

#[test]
fn a_clock_that_steps_back_does_not_change_the_order_of_its_own_stream() {
    let mut tale = Tale::on("one", 1);
    tale.fork(1, 10);
    tale.wait(-3_600_000_000).fork(1, 11);
    tale.fork(1, 12);
    let other = Tale::on("two", 2);
    let streams = [tale, other].map(|tale| ([1; 32], Told(tale.events.into())));
    let mut merge = Merge::new(streams);
    let mut seen = Vec::new();
    while merge.step(|_, event| seen.push(event.seq)) {}
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn what_is_around_an_event_is_what_was_before_it() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/usr/bin/python3", "python3\0");
    tale.fork(10, 11);
    let start = ProcessStart {
        parent: Some(key(10)),
        image: Some("/bin/sh".into()),
        ..ProcessStart::default()
    };
    let told = tale.events.len();
    tale.tell(Some(key(11)), Kind::ProcessStart(start));
    let mut replay = Replay::default();
    for (reference, event) in tale.events.iter().take(told) {
        replay.apply(*reference, event);
    }
    let (reference, event) = tale.events[told];
    let around = replay.around(&event);
    assert_eq!(around.actor.unwrap().image, Some("/usr/bin/python3".into()));
    assert_eq!(around.parent.unwrap().key, key(10));
    replay.apply(reference, &event);
    let applied = replay.applied().unwrap();
    assert_eq!(applied.step, Step::Started);
    let facts = replay.facts(applied.actor.unwrap()).unwrap();
    assert_eq!(facts.image, Some("/bin/sh".into()));
    assert_eq!(facts.cwd, Some("/tmp".into()), "inherited from the parent");
}

#[test]
fn an_unknown_actor_still_has_the_parent_that_its_start_names() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/usr/sbin/nginx", "nginx\0");
    let replay = replayed(&tale);
    tale.start(10, 11, "/bin/sh", "sh\0");
    let around = replay.around(&tale.events[1].1);
    assert!(around.actor.is_none());
    assert_eq!(around.parent.unwrap().image, Some("/usr/sbin/nginx".into()));
}

#[test]
fn identity_follows_the_last_change_and_names_come_from_the_snapshot() {
    let mut tale = Tale::on("web", 1);
    for (uid, name) in [(0, "root"), (33, "www-data")] {
        let account = StateAccount {
            name: Some(name.into()),
            uid: Some(uid),
            ..StateAccount::default()
        };
        tale.tell(None, Kind::StateAccount(account));
    }
    tale.start(1, 10, "/bin/x", "x\0");
    let change = CredentialsChanged {
        uid: Some(0),
        old_euid: Some(33),
        euid: Some(0),
        ..CredentialsChanged::default()
    };
    tale.tell(Some(key(10)), Kind::CredentialsChanged(change));
    let replay = replayed(&tale);
    let facts = replay
        .facts(replay.applied().unwrap().actor.unwrap())
        .unwrap();
    assert_eq!((facts.uid, facts.euid), (Some(0), Some(0)));
    assert_eq!(facts.account, Some("root".into()));
}

#[test]
fn a_tree_is_drawn_by_who_created_whom() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/sh", "sh\0-c\0a b\0");
    tale.fork(10, 11);
    tale.start(10, 11, "/usr/bin/curl", "curl\0\x1b[31m\0");
    tale.wrote(11, "/tmp/x", None);
    tale.exit(11);
    tale.wait(5_000_000);
    tale.start(1, 10, "/tmp/x", "x\0");
    tale.fork(10, 12);
    let replay = replayed(&tale);
    assert_eq!(
        tree(&replay, TreeOptions::default()),
        "web, boot 01010101-0101-0101-0101-010101010101\n\
         \x20 1 ?  [ +1, implied]\n\
         \x20   10 /bin/sh | sh -c 'a b'  [ +1]\n\
         \x20     11 /usr/bin/curl | curl ^[[31m  [ +2 – +5, exit 0, files 1]\n\
         \x20   ⇒ 10 /tmp/x | x  [ +5006]\n\
         \x20     12 (/tmp/x)  [ +5007, forked]\n"
    );
}

#[test]
fn a_tree_can_be_of_one_process_or_of_one_moment() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/sh", "sh\0");
    tale.start(10, 11, "/bin/a", "a\0");
    tale.exit(11);
    tale.start(10, 12, "/bin/b", "b\0");
    let replay = replayed(&tale);
    let of_pid = tree(
        &replay,
        TreeOptions {
            pid: Some(12),
            ..TreeOptions::default()
        },
    );
    assert!(of_pid.contains("/bin/b") && !of_pid.contains("/bin/sh"));
    let options = TreeOptions {
        at_us: Some(WALL_US + 2500),
        ..TreeOptions::default()
    };
    let of_moment = tree(&replay, options);
    assert!(
        of_moment.contains("/bin/a") && !of_moment.contains("/bin/b"),
        "{of_moment}"
    );
}

#[test]
fn children_beyond_the_bound_are_counted_and_depth_is_no_recursion() {
    let mut tale = Tale::on("web", 1);
    for child in 2..5002 {
        tale.fork(1, child);
    }
    for child in 6000..26_000 {
        tale.fork(child - 1, child);
    }
    let replay = replayed(&tale);
    let text = tree(
        &replay,
        TreeOptions {
            children_max: 10,
            ..TreeOptions::default()
        },
    );
    assert!(text.contains("… 4990 more\n"), "{}", &text[..2000]);
    assert!(text.contains("[depth 20000] 25999"));
    assert!(text.lines().all(|line| line.len() < 200));
    let mut out = Vec::new();
    Tree::new(replay.processes(), TreeOptions::default())
        .write_json(&mut out)
        .unwrap();
    let lines = out
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    for line in lines {
        let object: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(object["what"].is_string());
    }
}

#[test]
fn what_stands_open_is_known_until_it_ends() {
    let mut tale = Tale::on("web", 1);
    let connected = NetworkConnected {
        protocol: Some(Protocol::Tcp),
        local_ip: Some("10.0.0.5".parse().unwrap()),
        local_port: Some(40_000),
        remote_ip: Some("203.0.113.7".parse().unwrap()),
        remote_port: Some(443),
        ..NetworkConnected::default()
    };
    tale.start(1, 10, "/usr/bin/curl", "curl\0");
    tale.tell(Some(key(10)), Kind::NetworkConnected(connected));
    let other = NetworkConnected {
        local_port: Some(40_001),
        ..connected
    };
    tale.tell(Some(key(10)), Kind::NetworkConnected(other));
    let closed = NetworkClosed {
        protocol: connected.protocol,
        local_ip: connected.local_ip,
        local_port: Some(40_001),
        remote_ip: connected.remote_ip,
        remote_port: connected.remote_port,
        ..NetworkClosed::default()
    };
    tale.tell(None, Kind::NetworkClosed(closed));
    let listening = NetworkListening {
        protocol: Some(Protocol::Tcp),
        local_ip: Some("0.0.0.0".parse().unwrap()),
        local_port: Some(80),
        ..NetworkListening::default()
    };
    tale.tell(Some(key(11)), Kind::NetworkListening(listening));
    let logon = Logon {
        account: Some("ann".into()),
        session: Some(3),
        ..Logon::default()
    };
    tale.tell(Some(key(12)), Kind::Logon(logon));
    tale.wrote(10, "/tmp/x", None);
    let show = |tale: &Tale| {
        let (mut replay, mut standing) = (Replay::default(), Standing::default());
        for (reference, event) in &tale.events {
            replay.apply(*reference, event);
            standing.apply(event, &replay);
        }
        let (mut text, mut json) = (Vec::new(), Vec::new());
        standing.write_text(&mut text, &replay, &dress()).unwrap();
        standing.write_json(&mut json, &replay).unwrap();
        (
            String::from_utf8(text).unwrap(),
            String::from_utf8(json).unwrap(),
        )
    };
    let (text, json) = show(&tale);
    assert!(
        text.contains("web tcp 10.0.0.5:40000 → 203.0.113.7:443  [10 /usr/bin/curl"),
        "{text}"
    );
    assert!(!text.contains("40001"), "{text}");
    assert!(
        text.contains("web tcp 0.0.0.0:80  [11, since +5]"),
        "{text}"
    );
    assert!(text.contains("web 3: ann on ? since +6"), "{text}");
    assert!(
        text.contains("10 /usr/bin/curl: /tmp/x (file.written, +7)"),
        "{text}"
    );
    assert!(json.contains("\"remote_port\":443"), "{json}");
    tale.exit(10);
    let (text, _) = show(&tale);
    assert!(
        !text.contains("40000") && !text.contains("/tmp/x"),
        "{text}"
    );
}

/// Any fork or start, of few pids, so that records contradict each other.
fn any_life() -> impl Strategy<Value = (u32, u64, u32, bool)> {
    (0..6_u32, 0..3_u64, 0..6_u32, any::<bool>())
}

proptest! {
    #[test]
    fn contradictory_records_never_make_a_cycle_or_a_panic(
        lives in prop::collection::vec(any_life(), 0..80)
    ) {
        let mut tale = Tale::on("web", 1);
        for (pid, start, parent, is_fork) in lives {
            let actor = Some(ProcessKey::new(pid, start * 1_000_000));
            let parent = Some(ProcessKey::new(parent, 1_000_000));
            let kind = if is_fork {
                Kind::ProcessFork(ProcessFork { parent })
            } else {
                let image = Some(Text(b"/bin/x"));
                Kind::ProcessStart(ProcessStart { parent, image, ..ProcessStart::default() })
            };
            tale.tell(actor, kind);
        }
        let replay = replayed(&tale);
        let processes = replay.processes();
        for unit in processes.unit_ids() {
            let mut at = Some(unit);
            let mut steps = 0;
            while let Some(unit) = at {
                at = processes.previous(unit).or_else(|| processes.parent(unit));
                steps += 1;
                prop_assert!(steps < 500, "a cycle");
            }
        }
        let lines = tree(&replay, TreeOptions::default());
        let units = processes.unit_ids().count();
        prop_assert_eq!(lines.lines().filter(|line| line.starts_with(' ')).count(), units);
    }
}

#[test]
fn a_pid_that_is_given_away_within_a_second_is_two_processes() {
    let mut tale = Tale::on("h", 1);
    let by_pid = |pid| ProcessKey::new(pid, 0);
    let start = |parent, image: &'static str| {
        Kind::ProcessStart(ProcessStart {
            parent: Some(by_pid(parent)),
            image: Some(image.into()),
            ..ProcessStart::default()
        })
    };
    tale.tell(Some(by_pid(50)), start(40, "/bin/rm"));
    let fork = ProcessFork {
        parent: Some(by_pid(41)),
    };
    tale.tell(Some(by_pid(50)), Kind::ProcessFork(fork));
    tale.tell(Some(by_pid(50)), start(41, "/bin/csh"));
    let mut replay = Replay::new();
    for (reference, event) in &tale.events {
        replay.apply(*reference, event);
    }
    let actor = replay.applied().and_then(|applied| applied.actor).unwrap();
    let facts = replay.facts(actor).unwrap();
    assert_eq!(facts.image.unwrap(), "/bin/csh".into());
    let parent = replay.facts(facts.parent.unwrap()).unwrap();
    assert_eq!(parent.key.pid, 41);
}

#[test]
fn what_a_fork_does_under_its_parents_guid_is_its_own() {
    let mut tale = Tale::on("h", 1);
    let by_guid = |pid, guid: u8| ProcessKey {
        pid,
        start_us: 0,
        guid: Some(Guid([guid; 16])),
    };
    let start = |parent| {
        Kind::ProcessStart(ProcessStart {
            parent: Some(parent),
            image: Some("/bin/bash".into()),
            parent_image: Some("/usr/bin/java".into()),
            ..ProcessStart::default()
        })
    };
    tale.tell(Some(by_guid(50, 1)), start(by_guid(40, 9)));
    // The fork connects before it execs; its own identity comes with that.
    tale.tell(
        Some(by_guid(51, 1)),
        Kind::NetworkConnected(NetworkConnected::default()),
    );
    tale.tell(Some(by_guid(51, 2)), start(by_guid(50, 1)));
    let mut replay = Replay::new();
    let mut actors = Vec::new();
    for (reference, event) in &tale.events {
        replay.apply(*reference, event);
        actors.push(replay.applied().and_then(|applied| applied.actor).unwrap());
    }
    assert_eq!(replay.processes().len(), 3);
    let of = |unit| replay.facts(unit).unwrap();
    assert_eq!((of(actors[1]).key.pid, of(actors[2]).key.pid), (51, 51));
    assert_eq!(of(of(actors[2]).parent.unwrap()).key.pid, 50);
    let root = of(of(actors[0]).parent.unwrap());
    assert_eq!(root.image.unwrap(), "/usr/bin/java".into());
}
