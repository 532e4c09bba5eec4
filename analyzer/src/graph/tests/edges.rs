//! What the graph promises about edges and time.

use super::*;

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
