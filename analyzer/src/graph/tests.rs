//! What the graph promises, told by small recordings.

use std::net::IpAddr;

use saigen_schemas::event::{
    Args, Event, FileLinked, FileRead, FileWritten, Kind, Logon, Near, NetworkAccepted,
    NetworkClosed, NetworkConnected, ProcessKey, ProcessStart, Protocol, StateAccount,
    StateAutostart, StateProcess, Text,
};

use crate::graph::{Edge, Graph, GraphBuilder, Ground, NodeId, NodeKind, Verb, Way};
use crate::reference::EventRef;
use crate::replay::{Recorded, Replay, Tale, WALL_US, key};

impl Tale {
    fn graph(self) -> Graph {
        graph_of(&self.events)
    }
}

pub(super) fn graph_of(events: &[(EventRef, Event<'_>)]) -> Graph {
    let mut replay = Replay::default();
    let mut builder = GraphBuilder::default();
    for (reference, event) in events {
        replay.apply(*reference, event);
        builder.apply(*reference, event, &replay);
    }
    builder.finish(replay)
}

fn processes(graph: &Graph, pid: u32) -> Vec<NodeId> {
    let is = |node: &NodeId| {
        graph
            .process(*node)
            .is_some_and(|process| process.key.pid == pid)
    };
    graph.nodes().filter(is).collect()
}

/// The only node of a pid.
pub(super) fn process(graph: &Graph, pid: u32) -> NodeId {
    let found = processes(graph, pid);
    assert_eq!(found.len(), 1, "pid {pid}: {found:?}");
    found[0]
}

/// The files that ever led by a path.
fn files(graph: &Graph, path: &str) -> Vec<NodeId> {
    let is = |node: &NodeId| {
        graph
            .aliases(*node)
            .any(|alias| alias.path.0 == path.as_bytes())
    };
    graph.nodes().filter(is).collect()
}

fn image(graph: &Graph, node: NodeId) -> String {
    graph
        .process(node)
        .and_then(|process| process.image)
        .unwrap()
        .lossy()
        .into_owned()
}

pub(super) fn edges(graph: &Graph, from: NodeId, to: NodeId) -> Vec<Edge> {
    graph
        .edges()
        .filter(|edge| edge.from == from && edge.to == to)
        .collect()
}

fn verbs(graph: &Graph, from: NodeId, to: NodeId) -> Vec<(Verb, Ground)> {
    edges(graph, from, to)
        .iter()
        .map(|edge| (edge.verb, edge.ground))
        .collect()
}

#[test]
fn a_fork_and_its_exec_are_one_process_started_by_its_parent() {
    let mut tale = Tale::on("web", 1);
    let fork = tale.fork(1, 10);
    let start = tale.start(1, 10, "/bin/sh", "sh\0");
    let graph = tale.graph();
    let (parent, child) = (process(&graph, 1), process(&graph, 10));
    let found = edges(&graph, parent, child);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].verb, Verb::Started);
    assert_eq!((found[0].first, found[0].last), (fork, start));
    assert_eq!(image(&graph, child), "/bin/sh");
    assert_eq!(graph.process(child).unwrap().recorded, Recorded::Started);
    assert_eq!(graph.process(parent).unwrap().recorded, Recorded::Implied);
    assert_eq!(graph.process(child).unwrap().parent, Some(parent));
    let at_start: Vec<_> = graph
        .edges_at(start)
        .filter_map(|edge| graph.edge(edge))
        .collect();
    assert!(
        at_start
            .iter()
            .any(|edge| edge.verb == Verb::Executed && edge.to == child)
    );
    assert!(
        at_start
            .iter()
            .any(|edge| edge.verb == Verb::Started && edge.to == child)
    );
    assert_eq!(graph.actor_at(start), Some(child));
}

#[test]
fn a_start_without_a_fork_is_still_a_process() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/sh", "sh\0");
    let late = tale.fork(1, 10);
    let graph = tale.graph();
    let (parent, child) = (process(&graph, 1), process(&graph, 10));
    assert_eq!(
        verbs(&graph, parent, child),
        [(Verb::Started, Ground::Recorded)]
    );
    assert_eq!(graph.actor_at(late), Some(child));
}

#[test]
fn exec_opens_a_new_unit() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/sh", "sh\0-c\0x\0");
    tale.wait(5_000_000).wrote(10, "/tmp/before", None);
    tale.start(1, 10, "/tmp/x", "x\0");
    tale.wrote(10, "/tmp/after", None);
    let graph = tale.graph();
    let units = processes(&graph, 10);
    assert_eq!(units.len(), 2);
    assert_eq!(image(&graph, units[0]), "/bin/sh");
    assert_eq!(image(&graph, units[1]), "/tmp/x");
    assert_eq!(
        verbs(&graph, units[0], units[1]),
        [(Verb::Became, Ground::Recorded)]
    );
    let second = graph.process(units[1]).unwrap();
    assert_eq!((second.unit, second.previous), (1, Some(units[0])));
    assert_eq!(
        graph.process(units[0]).unwrap().end_us,
        Some(second.start_us)
    );
    assert_eq!(
        verbs(&graph, units[0], files(&graph, "/tmp/before")[0]).len(),
        1
    );
    assert_eq!(
        verbs(&graph, units[1], files(&graph, "/tmp/after")[0]).len(),
        1
    );
    assert_eq!(
        verbs(&graph, units[1], files(&graph, "/tmp/before")[0]).len(),
        0
    );
}

#[test]
fn a_fork_that_works_for_long_is_a_unit_of_its_own() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/usr/sbin/daemon", "daemon\0");
    tale.fork(10, 11);
    tale.wait(5_000_000).wrote(11, "/var/log/x", None);
    tale.start(10, 11, "/bin/sh", "sh\0");
    let graph = tale.graph();
    let units = processes(&graph, 11);
    assert_eq!(units.len(), 2);
    assert_eq!(image(&graph, units[0]), "/usr/sbin/daemon");
    assert_eq!(
        verbs(&graph, process(&graph, 10), units[0]),
        [(Verb::Forked, Ground::Recorded)]
    );
}

#[test]
fn a_reused_pid_is_two_processes() {
    let mut tale = Tale::on("web", 1);
    let again = ProcessKey::new(10, 99_000_000);
    tale.start(1, 10, "/bin/first", "first\0");
    tale.exit(10);
    let kind = ProcessStart {
        parent: Some(key(1)),
        image: Some("/bin/second".into()),
        ..ProcessStart::default()
    };
    tale.tell(Some(again), Kind::ProcessStart(kind));
    // A record that says no start time means the one that lives now.
    let unsaid = ProcessKey::new(10, 0);
    let read = FileRead {
        path: Some("/etc/shadow".into()),
        ..FileRead::default()
    };
    let seen = tale
        .wait(3_000_000)
        .tell(Some(unsaid), Kind::FileRead(read));
    let graph = tale.graph();
    let found = processes(&graph, 10);
    assert_eq!(found.len(), 2);
    assert_eq!(image(&graph, found[0]), "/bin/first");
    assert_eq!(image(&graph, found[1]), "/bin/second");
    assert_eq!(graph.actor_at(seen), Some(found[1]));
    assert_eq!(graph.process(found[0]).unwrap().exit.unwrap().code, Some(0));
    assert_eq!(graph.process(found[1]).unwrap().exit, None);
}

#[test]
fn records_out_of_order_by_a_moment_are_put_right() {
    let mut tale = Tale::on("web", 1);
    tale.exit(10);
    let start = tale.start(1, 10, "/bin/true", "true\0");
    tale.fork(1, 10);
    let graph = tale.graph();
    let child = process(&graph, 10);
    let node = graph.process(child).unwrap();
    assert_eq!(image(&graph, child), "/bin/true");
    assert_eq!(node.start_ref, Some(start));
    assert!(node.exit.is_some());
    assert_eq!(node.parent, Some(process(&graph, 1)));
}

#[test]
fn what_a_fork_did_before_its_own_record_is_still_its_own() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/usr/sbin/sshd", "sshd\0");
    tale.wrote(11, "/var/log/auth.log", None);
    tale.fork(10, 11);
    let graph = tale.graph();
    let child = process(&graph, 11);
    assert_eq!(image(&graph, child), "/usr/sbin/sshd");
    assert_eq!(graph.process(child).unwrap().recorded, Recorded::Forked);
    let forked = [(Verb::Forked, Ground::Recorded)];
    assert_eq!(verbs(&graph, process(&graph, 10), child), forked);
    assert_eq!(
        verbs(&graph, child, files(&graph, "/var/log/auth.log")[0]).len(),
        1
    );
}

#[test]
fn re_parenting_does_not_change_who_created_a_process() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/sh", "sh\0");
    tale.fork(10, 11);
    tale.exit(10);
    tale.start(1, 11, "/tmp/daemon", "daemon\0");
    let graph = tale.graph();
    let child = graph.process(process(&graph, 11)).unwrap();
    assert_eq!(child.parent, Some(process(&graph, 10)));
    assert!(verbs(&graph, process(&graph, 1), process(&graph, 11)).is_empty());
}

#[test]
fn what_stood_before_recording_is_known_from_its_snapshot() {
    let mut tale = Tale::on("web", 1);
    for (pid, parent, image) in [(1, 0, "/sbin/init"), (10, 1, "/usr/sbin/nginx")] {
        let kind = StateProcess {
            parent: Some(if parent == 0 {
                ProcessKey::default()
            } else {
                key(parent)
            }),
            image: Some(image.into()),
            ..StateProcess::default()
        };
        tale.tell(Some(key(pid)), Kind::StateProcess(kind));
    }
    let graph = tale.graph();
    let (init, nginx) = (process(&graph, 1), process(&graph, 10));
    assert_eq!(graph.process(nginx).unwrap().recorded, Recorded::Snapshot);
    let found = edges(&graph, init, nginx);
    assert_eq!(found.len(), 1);
    // It started ten seconds after boot, which is fifty before recording.
    assert_eq!(found[0].first_us, WALL_US - 50_000_000);
}

#[test]
fn a_process_cannot_be_its_own_ancestor() {
    let mut tale = Tale::on("web", 1);
    tale.fork(10, 10);
    tale.fork(11, 12);
    tale.fork(12, 13);
    tale.fork(13, 11);
    tale.start(12, 11, "/bin/x", "x\0");
    let graph = tale.graph();
    let mut at = Some(process(&graph, 13));
    let mut steps = 0;
    while let Some(node) = at {
        at = graph.process(node).unwrap().parent;
        steps += 1;
        assert!(steps < 10);
    }
    assert_eq!(graph.process(process(&graph, 10)).unwrap().parent, None);
}

#[test]
fn a_renamed_file_is_the_same_file() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/.x", Some(7));
    tale.renamed(11, "/tmp/.x", "/usr/local/bin/tool");
    tale.start(1, 12, "/usr/local/bin/tool", "tool\0");
    let graph = tale.graph();
    let file = files(&graph, "/tmp/.x");
    assert_eq!(file, files(&graph, "/usr/local/bin/tool"));
    let (writer, mover, runner) = (
        process(&graph, 10),
        process(&graph, 11),
        process(&graph, 12),
    );
    assert_eq!(
        verbs(&graph, writer, file[0]),
        [(Verb::Wrote, Ground::Recorded)]
    );
    assert_eq!(
        verbs(&graph, mover, file[0]),
        [(Verb::Renamed, Ground::Recorded)]
    );
    assert_eq!(
        verbs(&graph, file[0], runner),
        [(Verb::Executed, Ground::Recorded)]
    );
    let names: Vec<_> = graph
        .aliases(file[0])
        .map(|alias| alias.path.lossy())
        .collect();
    assert_eq!(names, ["/usr/local/bin/tool", "/tmp/.x"]);
    assert!(graph.aliases(file[0]).nth(1).unwrap().to_us.is_some());
}

#[test]
fn a_path_made_anew_is_another_file() {
    let mut tale = Tale::on("web", 1);
    tale.created(10, "/tmp/x", Some(7));
    tale.deleted(10, "/tmp/x", Some(7));
    tale.created(11, "/tmp/x", Some(7));
    tale.wrote(11, "/tmp/x", Some(7));
    let graph = tale.graph();
    let found = files(&graph, "/tmp/x");
    assert_eq!(found.len(), 2, "the inode was reused, the file was not");
    assert_eq!(graph.file(found[1]).unwrap().generation, 1);
    assert!(verbs(&graph, process(&graph, 11), found[0]).is_empty());
    assert!(graph.file(found[0]).unwrap().deleted_us.is_some());
    assert!(graph.file(found[1]).unwrap().deleted_us.is_none());
}

#[test]
fn a_file_that_was_replaced_without_a_record_is_another_file() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/etc/passwd", Some(7));
    tale.wrote(11, "/etc/passwd", Some(8));
    let graph = tale.graph();
    assert_eq!(files(&graph, "/etc/passwd").len(), 2);
}

#[test]
fn a_file_written_after_its_deletion_is_the_deleted_file() {
    let mut tale = Tale::on("web", 1);
    tale.created(10, "/tmp/x", Some(7));
    tale.deleted(10, "/tmp/x", Some(7));
    tale.wrote(10, "/tmp/x", Some(7));
    let graph = tale.graph();
    let found = files(&graph, "/tmp/x");
    assert_eq!(found.len(), 1);
    assert!(graph.file(found[0]).unwrap().deleted_us.is_some());
}

#[test]
fn a_hard_link_is_a_further_name_and_a_symbolic_link_leads_to_its_target() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/a", Some(7));
    for (path, inode) in [("/tmp/hard", 7), ("/tmp/soft", 9)] {
        let kind = FileLinked {
            path: Some(path.into()),
            target: Some("/tmp/a".into()),
            inode: Some(Near(inode)),
            dev: Some(8),
        };
        tale.tell(Some(key(10)), Kind::FileLinked(kind));
    }
    tale.deleted(10, "/tmp/a", Some(7));
    let graph = tale.graph();
    let file = files(&graph, "/tmp/a")[0];
    let soft = files(&graph, "/tmp/soft")[0];
    assert_eq!(files(&graph, "/tmp/hard"), [file]);
    assert_eq!(
        verbs(&graph, file, soft),
        [(Verb::Linked, Ground::Recorded)]
    );
    assert_eq!(
        graph.file(file).unwrap().deleted_us,
        None,
        "one name is left"
    );
}

#[test]
fn a_script_and_the_files_that_arguments_name_lead_to_the_process() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/x.sh", None);
    tale.wrote(10, "/tmp/loot.tgz", None);
    tale.start(1, 11, "/bin/sh", "sh\0./x.sh\0");
    tale.start(
        1,
        12,
        "/usr/bin/curl",
        "curl\0-T\0/tmp/loot.tgz\0-o\0/tmp/x.sh\0",
    );
    tale.start(1, 13, "/bin/rm", "rm\0/tmp/loot.tgz\0");
    tale.start(
        1,
        14,
        "/usr/bin/perl",
        "perl\0-e\0open($f,'</tmp/loot.tgz')\0",
    );
    tale.start(
        1,
        15,
        "/usr/bin/perl",
        "perl\0-e\0open($f,'>/tmp/loot.tgz')\0",
    );
    let graph = tale.graph();
    let (script, loot) = (
        files(&graph, "/tmp/x.sh")[0],
        files(&graph, "/tmp/loot.tgz")[0],
    );
    let read = [(Verb::Read, Ground::Arguments)];
    assert_eq!(verbs(&graph, script, process(&graph, 11)), read);
    assert_eq!(verbs(&graph, loot, process(&graph, 12)), read);
    assert!(
        verbs(&graph, script, process(&graph, 12)).is_empty(),
        "an output is not read"
    );
    assert!(
        verbs(&graph, loot, process(&graph, 13)).is_empty(),
        "rm does not read"
    );
}

#[test]
fn equal_events_are_one_edge_and_each_still_leads_to_it() {
    let mut tale = Tale::on("web", 1);
    let seen: Vec<_> = (0..5).map(|_| tale.wrote(10, "/var/log/x", None)).collect();
    let graph = tale.graph();
    let found = edges(&graph, process(&graph, 10), files(&graph, "/var/log/x")[0]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].count, 5);
    assert_eq!((found[0].first, found[0].last), (seen[0], seen[4]));
    assert_eq!(found[0].last_us - found[0].first_us, 4000);
    for event in seen {
        assert_eq!(graph.edges_at(event).collect::<Vec<_>>(), [found[0].id]);
    }
}

#[test]
fn one_step_never_goes_against_time() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/x", None);
    tale.read(20, "/tmp/x");
    tale.wrote(11, "/tmp/x", None);
    let graph = tale.graph();
    let file = files(&graph, "/tmp/x")[0];
    let read_us = edges(&graph, file, process(&graph, 20))[0].first_us;
    let causes: Vec<_> = graph.before(file, read_us).map(|edge| edge.from).collect();
    assert_eq!(
        causes,
        [process(&graph, 10)],
        "what is written later is no cause"
    );
    let wrote_us = edges(&graph, process(&graph, 11), file)[0].first_us;
    assert_eq!(
        graph.after(file, wrote_us).count(),
        0,
        "what was read earlier is no effect"
    );
    assert_eq!(graph.after(file, WALL_US).count(), 1);
}

#[test]
fn backward_search_never_goes_against_time() {
    let mut tale = Tale::on("web", 1);
    tale.start(1, 10, "/bin/early", "early\0");
    tale.wrote(10, "/tmp/a", None);
    tale.start(1, 20, "/bin/carry", "carry\0");
    tale.read(20, "/tmp/a");
    tale.wrote(20, "/tmp/b", None);
    tale.start(1, 30, "/bin/reader", "reader\0");
    tale.read(30, "/tmp/b");
    let seen = tale.wrote(40, "/tmp/a", None);
    tale.wrote(41, "/tmp/b", None);
    let graph = tale.graph();
    let back = graph.walk(process(&graph, 30), i64::MAX, Way::Back, 100, |_| true);
    let pids: Vec<u32> = back
        .iter()
        .filter_map(|reached| graph.process(reached.node))
        .map(|process| process.key.pid)
        .collect();
    assert_eq!(
        pids,
        [30, 1, 20, 10],
        "nearest first; 40 and 41 wrote later"
    );
    assert!(back.windows(2).all(|pair| pair[0].at_us >= pair[1].at_us));
    let source = process(&graph, 10);
    let forth = graph.walk(source, WALL_US, Way::Forth, 100, |_| true);
    assert!(
        forth
            .iter()
            .any(|reached| reached.node == process(&graph, 30))
    );
    let late = process(&graph, 40);
    let of_late = graph
        .edges_at(seen)
        .next()
        .and_then(|edge| graph.edge(edge))
        .unwrap();
    let forth = graph.walk(late, of_late.first_us, Way::Forth, 100, |_| true);
    assert_eq!(forth.len(), 2, "only the file: it was read before");
    let bounded = graph.walk(source, WALL_US, Way::Forth, 2, |_| true);
    assert_eq!(bounded.len(), 2);
    let refused = graph.walk(source, WALL_US, Way::Forth, 100, |edge| {
        edge.verb != Verb::Read
    });
    assert!(
        !refused
            .iter()
            .any(|reached| reached.node == process(&graph, 20))
    );
}

fn flow(client: u32, server: u32, tale: &mut Tale, at_server: &mut Tale) {
    let (a, b): (IpAddr, IpAddr) = ("10.0.0.5".parse().unwrap(), "10.0.0.9".parse().unwrap());
    let connected = NetworkConnected {
        protocol: Some(Protocol::Tcp),
        local_ip: Some(a),
        local_port: Some(40_000),
        remote_ip: Some(b),
        remote_port: Some(22),
        ..NetworkConnected::default()
    };
    tale.tell(Some(key(client)), Kind::NetworkConnected(connected));
    let accepted = NetworkAccepted {
        protocol: Some(Protocol::Tcp),
        local_ip: Some(b),
        local_port: Some(22),
        remote_ip: Some(a),
        remote_port: Some(40_000),
        ..NetworkAccepted::default()
    };
    at_server.tell(Some(key(server)), Kind::NetworkAccepted(accepted));
}

#[test]
fn one_flow_seen_from_both_ends_joins_their_processes() {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    two.wait(40_000_000);
    flow(10, 20, &mut one, &mut two);
    let closed = NetworkClosed {
        protocol: Some(Protocol::Tcp),
        local_ip: Some("10.0.0.5".parse().unwrap()),
        local_port: Some(40_000),
        remote_ip: Some("10.0.0.9".parse().unwrap()),
        remote_port: Some(22),
        sent_bytes: Some(100),
        received_bytes: Some(2000),
        ..NetworkClosed::default()
    };
    one.wait(41_000_000).tell(None, Kind::NetworkClosed(closed));
    let mut events = one.events;
    events.extend(two.events);
    events.sort_by_key(|(_, event)| event.time);
    let graph = graph_of(&events);
    let (client, server) = (process(&graph, 10), process(&graph, 20));
    assert_eq!(
        verbs(&graph, client, server),
        [
            (Verb::Connected, Ground::SameFlow),
            (Verb::Sent, Ground::SameFlow)
        ]
    );
    let back = edges(&graph, server, client);
    assert_eq!(back.len(), 1);
    assert_eq!((back[0].verb, back[0].bytes), (Verb::Received, Some(2000)));
    let joined = edges(&graph, client, server)[0];
    assert_ne!(
        joined.first.source(),
        joined.last.source(),
        "a record from each end"
    );
}

#[test]
fn loopback_addresses_of_two_hosts_are_two_places() {
    let mut events = Vec::new();
    for (host, source) in [("one", 1), ("two", 2)] {
        let mut tale = Tale::on(host, source);
        let kind = NetworkConnected {
            protocol: Some(Protocol::Tcp),
            remote_ip: Some("127.0.0.1".parse().unwrap()),
            remote_port: Some(80),
            ..NetworkConnected::default()
        };
        tale.tell(Some(key(10)), Kind::NetworkConnected(kind));
        let far = NetworkConnected {
            remote_ip: Some("203.0.113.7".parse().unwrap()),
            ..kind
        };
        tale.tell(Some(key(10)), Kind::NetworkConnected(far));
        events.extend(tale.events);
    }
    let graph = graph_of(&events);
    let places = graph
        .nodes()
        .filter(|node| graph.kind(*node) == Some(NodeKind::Endpoint));
    assert_eq!(
        places.count(),
        3,
        "one each of loopback, and one that both reach"
    );
}

#[test]
fn a_session_leads_to_its_first_process_only() {
    let mut tale = Tale::on("web", 1);
    let logon = Logon {
        account: Some("ann".into()),
        uid: Some(1000),
        session: Some(5),
        remote_ip: Some("198.51.100.3".parse().unwrap()),
        ..Logon::default()
    };
    tale.tell(Some(key(9)), Kind::Logon(logon));
    for (parent, child) in [(9, 10), (10, 11)] {
        let kind = ProcessStart {
            parent: Some(key(parent)),
            image: Some("/bin/bash".into()),
            session: Some(5),
            ..ProcessStart::default()
        };
        tale.tell(Some(key(child)), Kind::ProcessStart(kind));
    }
    let graph = tale.graph();
    let session = graph.session_of(process(&graph, 11)).unwrap();
    assert_eq!(graph.session_of(process(&graph, 10)), Some(session));
    assert_eq!(verbs(&graph, session, process(&graph, 10)).len(), 1);
    assert!(verbs(&graph, session, process(&graph, 11)).is_empty());
    let from: Vec<_> = graph
        .incoming(session)
        .iter()
        .filter_map(|&edge| graph.edge(edge))
        .filter_map(|edge| graph.kind(edge.from))
        .collect();
    assert_eq!(
        from,
        [NodeKind::Account, NodeKind::Endpoint, NodeKind::Process]
    );
}

#[test]
fn what_cron_runs_leads_back_to_who_wrote_its_table() {
    let mut tale = Tale::on("web", 1);
    let autostart = StateAutostart {
        path: Some("/etc/cron.d/old".into()),
        command: Some("/usr/bin/backup".into()),
        ..StateAutostart::default()
    };
    tale.tell(None, Kind::StateAutostart(autostart));
    tale.start(1, 5, "/usr/sbin/cron", "cron\0-f\0");
    tale.wrote(66, "/etc/cron.d/update", None);
    tale.fork(5, 20);
    tale.start(20, 21, "/bin/sh", "sh\0-c\0/usr/bin/backup\0");
    tale.start(20, 22, "/bin/sh", "sh\0-c\0/tmp/.x\0");
    let graph = tale.graph();
    let triggered = [(Verb::Triggered, Ground::Scheduled)];
    let old = files(&graph, "/etc/cron.d/old")[0];
    let new = files(&graph, "/etc/cron.d/update")[0];
    assert_eq!(verbs(&graph, old, process(&graph, 21)), triggered);
    assert!(verbs(&graph, old, process(&graph, 22)).is_empty());
    assert!(
        verbs(&graph, new, process(&graph, 5)).is_empty(),
        "not cron itself"
    );
    assert_eq!(verbs(&graph, new, process(&graph, 22)), triggered);
    assert!(graph.file(new).unwrap().autostart.is_some());
}

#[test]
fn what_cron_ran_before_a_table_was_changed_is_not_put_down_to_it() {
    let mut tale = Tale::on("web", 1);
    let job = |tale: &mut Tale, pid: u32, args: &'static str| {
        tale.fork(5, pid);
        tale.start(pid, pid + 1, "/bin/sh", args);
    };
    tale.start(1, 5, "/usr/sbin/cron", "cron\0-f\0");
    tale.start(1, 60, "/bin/bash", "bash\0");
    tale.start(1, 70, "/bin/bash", "bash\0");
    job(&mut tale, 20, "sh\0-c\0/usr/bin/backup\0");
    tale.wrote(70, "/etc/cron.d/tidy", None);
    tale.wrote(60, "/opt/.x", None);
    tale.wrote(60, "/etc/cron.d/netd", None);
    tale.wrote(70, "/etc/cron.d/later", None);
    job(&mut tale, 30, "sh\0-c\0/usr/bin/backup\0");
    job(&mut tale, 40, "sh\0-c\0/opt/.x >/dev/null 2>&1\0");
    job(&mut tale, 50, "sh\0-c\0/usr/bin/tidy --all\0");
    let graph = tale.graph();
    let causes = |pid: u32| -> Vec<(String, Ground)> {
        let node = process(&graph, pid);
        let edges = graph
            .incoming(node)
            .iter()
            .filter_map(|&edge| graph.edge(edge));
        edges
            .filter(|edge| edge.verb == Verb::Triggered)
            .map(|edge| {
                let file = graph.file(edge.from).unwrap();
                (file.path.lossy().into_owned(), edge.ground)
            })
            .collect()
    };
    assert_eq!(causes(21), []);
    assert_eq!(causes(31), [], "it ran before");
    assert_eq!(
        causes(41),
        [("/etc/cron.d/netd".to_owned(), Ground::Scheduled)],
        "same hand"
    );
    assert_eq!(
        causes(51),
        [("/etc/cron.d/tidy".to_owned(), Ground::Scheduled)],
        "same name"
    );
}

#[test]
fn a_login_leads_back_to_the_key_that_was_left_for_it() {
    let mut tale = Tale::on("web", 1);
    let account = StateAccount {
        name: Some("ann".into()),
        uid: Some(1000),
        home: Some("/srv/ann".into()),
        ..StateAccount::default()
    };
    tale.tell(None, Kind::StateAccount(account));
    tale.start(1, 5, "/usr/sbin/sshd", "sshd\0-D\0");
    tale.wrote(66, "/srv/ann/.ssh/authorized_keys", None);
    tale.wrote(66, "/srv/bob/.ssh/authorized_keys", None);
    let kind = ProcessStart {
        parent: Some(key(5)),
        image: Some("/bin/bash".into()),
        args: Some(Args(b"-bash\0")),
        uid: Some(1000),
        euid: Some(1000),
        session: Some(3),
        ..ProcessStart::default()
    };
    tale.tell(Some(key(20)), Kind::ProcessStart(kind));
    let graph = tale.graph();
    let (ann, bob) = (
        files(&graph, "/srv/ann/.ssh/authorized_keys")[0],
        files(&graph, "/srv/bob/.ssh/authorized_keys")[0],
    );
    let shell = process(&graph, 20);
    assert_eq!(
        verbs(&graph, ann, shell),
        [(Verb::Triggered, Ground::Scheduled)]
    );
    assert!(verbs(&graph, bob, shell).is_empty());
}

/// The whole graph as text, without what depends on the order of sight.
fn told(graph: &Graph) -> Vec<String> {
    let name = |id: NodeId| {
        if let Some(process) = graph.process(id) {
            format!(
                "{} {} {}",
                process.host.index(),
                process.key.pid,
                process.unit
            )
        } else if let Some(file) = graph.file(id) {
            format!("{} {}", file.path.lossy(), file.generation)
        } else {
            format!("{:?}", graph.node(id).unwrap())
        }
    };
    let mut lines: Vec<_> = graph
        .edges()
        .map(|edge| {
            let (from, to) = (name(edge.from), name(edge.to));
            format!(
                "{from} {:?} {to} {} {} {}",
                edge.verb, edge.first_us, edge.last_us, edge.count
            )
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_million_children_and_reversed_events_are_only_more_work() {
    let mut tale = Tale::on("web", 1);
    for child in 0..20_000 {
        tale.fork(1, child + 2);
    }
    let forward = told(&graph_of(&tale.events));
    assert_eq!(forward.len(), 20_000);
    tale.events.reverse();
    let backward = graph_of(&tale.events);
    assert_eq!(told(&backward).len(), forward.len());
    assert_eq!(backward.fan_out(process(&backward, 1)), 20_000);
}

#[test]
fn a_text_is_shown_as_it_was() {
    let mut tale = Tale::on("web", 1);
    let kind = FileWritten {
        path: Some(Text(b"/tmp/\xff\x1b[31m")),
        ..FileWritten::default()
    };
    tale.tell(Some(key(1)), Kind::FileWritten(kind));
    let graph = tale.graph();
    let file = graph.nodes().find_map(|node| graph.file(node)).unwrap();
    assert_eq!(file.path.0, b"/tmp/\xff\x1b[31m");
}
