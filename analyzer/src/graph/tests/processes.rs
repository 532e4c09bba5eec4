//! What the graph promises about processes and their parents.

use super::*;

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
