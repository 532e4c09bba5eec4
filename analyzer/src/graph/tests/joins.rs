//! What the graph promises about joins: flows, sessions, jobs and logins.

use super::*;

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

/// Two hosts with a flow between them, by which a shell of the server's session makes a file of the
/// client's name `wait_us` after the flow.
fn carried(names: [&'static str; 2], wait_us: i64, by: u32) -> Graph {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    one.created(9, names[0], None);
    two.wait(1_000);
    flow(10, 20, &mut one, &mut two);
    two.fork(20, 21);
    two.start(20, 21, "/bin/cp", "cp");
    two.wait(wait_us).created(by, names[1], None);
    let mut events = one.events;
    events.extend(two.events);
    events.sort_by_key(|(_, event)| event.time);
    graph_of(&events)
}

/// The grounds on which the first file leads to the second as its copy.
fn copied(graph: &Graph, names: [&str; 2]) -> Vec<Ground> {
    let (from, to) = (files(graph, names[0]), files(graph, names[1]));
    let ends = from
        .iter()
        .flat_map(|from| to.iter().map(move |to| (*from, *to)));
    ends.filter(|(from, to)| from != to)
        .flat_map(|(from, to)| verbs(graph, from, to))
        .filter(|(verb, _)| *verb == Verb::Copied)
        .map(|(_, ground)| ground)
        .collect()
}

#[test]
fn a_file_of_the_same_name_that_a_session_from_there_made_is_a_copy() {
    let names = ["/tmp/tool.bin", "/var/tmp/Tool.bin"];
    assert_eq!(
        copied(&carried(names, 1_000, 21), names),
        [Ground::SameName]
    );
    let late = carried(names, 3_600_000_000, 21);
    assert_eq!(
        copied(&late, names),
        [],
        "an hour after the connection began"
    );
    let stranger = carried(names, 1_000, 77);
    assert_eq!(
        copied(&stranger, names),
        [],
        "by who has no part in the connection"
    );
    let other = ["/tmp/tool.bin", "/var/tmp/report.pdf"];
    assert_eq!(
        copied(&carried(other, 1_000, 21), other),
        [],
        "another name"
    );
}

#[test]
fn a_file_with_the_same_bytes_that_came_later_to_another_host_is_a_copy() {
    let hashed = |tale: &mut Tale, path: &'static str, hash: u8| {
        let written = FileWritten {
            path: Some(path.into()),
            sha256: Some(Hash32([hash; 32])),
            ..FileWritten::default()
        };
        tale.created(5, path, None);
        tale.tell(Some(key(5)), Kind::FileWritten(written));
    };
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    hashed(&mut one, "/tmp/a", 1);
    two.wait(60_000_000);
    hashed(&mut two, "/opt/b", 1);
    hashed(&mut two, "/opt/c", 2);
    let mut events = one.events;
    events.extend(two.events);
    events.sort_by_key(|(_, event)| event.time);
    let graph = graph_of(&events);
    assert_eq!(copied(&graph, ["/tmp/a", "/opt/b"]), [Ground::SameContent]);
    assert_eq!(
        copied(&graph, ["/opt/b", "/tmp/a"]),
        [],
        "never against time"
    );
    assert_eq!(copied(&graph, ["/tmp/a", "/opt/c"]), [], "other bytes");
}
