//! What the graph promises about hosts with clocks of their own.

use std::net::IpAddr;

use saigen_schemas::event::{Event, Kind, NetworkAccepted, NetworkConnected, Protocol};

use crate::graph::tests::{edges, graph_of, process};
use crate::graph::{Ground, Verb, Way};
use crate::reference::{EventRef, SourceId};
use crate::replay::{Tale, key};

type Recorded<'a> = (EventRef, Event<'a>);

/// An hour, in microseconds.
const HOUR_US: i64 = 3_600_000_000;

/// A flow from the first to the second host: who connects, who takes it, from which port.
fn flow(client: u32, server: u32, port: u16, one: &mut Tale, two: &mut Tale) {
    let (a, b): (IpAddr, IpAddr) = ("10.0.0.5".parse().unwrap(), "10.0.0.9".parse().unwrap());
    let connected = NetworkConnected {
        protocol: Some(Protocol::Tcp),
        local_ip: Some(a),
        local_port: Some(port),
        remote_ip: Some(b),
        remote_port: Some(22),
        ..NetworkConnected::default()
    };
    one.tell(Some(key(client)), Kind::NetworkConnected(connected));
    let accepted = NetworkAccepted {
        protocol: Some(Protocol::Tcp),
        local_ip: Some(b),
        local_port: Some(22),
        remote_ip: Some(a),
        remote_port: Some(port),
        ..NetworkAccepted::default()
    };
    two.tell(Some(key(server)), Kind::NetworkAccepted(accepted));
}

/// The second host's clock set by so much.
fn set(tale: &mut Tale, by_us: i64) {
    for (_, event) in &mut tale.events {
        event.time.wall_us += by_us;
    }
}

/// Both hosts' events as they come from a merge: by the clocks as they are.
fn merged(one: Tale, two: Tale) -> Vec<Recorded<'static>> {
    let mut events = one.events;
    events.extend(two.events);
    events.sort_by_key(|(reference, event)| (event.time, *reference));
    events
}

#[test]
fn clocks_an_hour_apart_are_told_by_the_flows_alone() {
    for by_us in [-HOUR_US, -75_000_000, 0, HOUR_US] {
        let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
        for (at, port) in (0_u32..).zip(40_000..40_005) {
            one.wait(1_000_000);
            two.wait(1_000_000);
            flow(10 + at, 20 + at, port, &mut one, &mut two);
        }
        set(&mut two, by_us);
        let graph = graph_of(&merged(one, two));
        let clocks: Vec<(i64, usize)> = graph
            .clocks()
            .iter()
            .map(|clock| (clock.ahead_us, clock.flows))
            .collect();
        assert_eq!(clocks.len(), 2, "{by_us}");
        assert_eq!((clocks[0], clocks[1].1), ((0, 0), 5), "{by_us}");
        assert_eq!(clocks[1].0.abs(), by_us.abs(), "{by_us}");
        for at in 0..5 {
            let (client, server) = (process(&graph, 10 + at), process(&graph, 20 + at));
            let joined = edges(&graph, client, server);
            assert_eq!(joined.len(), 1, "{by_us}");
            assert_eq!(
                (joined[0].verb, joined[0].ground),
                (Verb::Connected, Ground::SameFlow)
            );
            // A search crosses by the moment, whatever the clocks say of it.
            let moment = joined[0].first_us;
            let reached = graph.walk(client, moment, Way::Forth, 100, |_| true);
            assert!(reached.iter().any(|one| one.node == server), "{by_us}");
            let after = graph.walk(client, moment + 1, Way::Forth, 100, |_| true);
            assert!(!after.iter().any(|one| one.node == server), "{by_us}");
            let at_server = moment + by_us;
            let back = graph.walk(server, at_server, Way::Back, 100, |_| true);
            assert!(back.iter().any(|one| one.node == client), "{by_us}");
            let before = graph.walk(server, at_server - 1, Way::Back, 100, |_| true);
            assert!(!before.iter().any(|one| one.node == client), "{by_us}");
        }
    }
}

#[test]
fn ports_that_are_used_again_are_told_apart_by_the_skew() {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    let mut both = |us: i64, client: u32, server: u32, port: u16| {
        one.wait(us);
        two.wait(us);
        flow(client, server, port, &mut one, &mut two);
    };
    both(1_000_000, 10, 20, 40_001);
    both(1_000_000, 11, 21, 40_002);
    both(1_000_000, 12, 22, 40_000);
    both(600_000_000, 13, 23, 40_000);
    set(&mut two, 600_000_000);
    let graph = graph_of(&merged(one, two));
    for (client, server, joined) in [(12, 22, 1), (13, 23, 1), (12, 23, 0), (13, 22, 0)] {
        let ends = (process(&graph, client), process(&graph, server));
        assert_eq!(
            edges(&graph, ends.0, ends.1).len(),
            joined,
            "{client} {server}"
        );
    }
}

#[test]
fn the_same_log_given_twice_shows_the_same_flows() {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    flow(10, 20, 40_000, &mut one, &mut two);
    set(&mut two, HOUR_US);
    let mut events = merged(one, two);
    let again: Vec<Recorded<'_>> = events
        .iter()
        .zip(0..)
        .map(|((_, event), at)| (EventRef::frame(SourceId(3), 1, at), *event))
        .collect();
    events.extend(again);
    events.sort_by_key(|(reference, event)| (event.time, *reference));
    let graph = graph_of(&events);
    assert_eq!(graph.crossings().len(), 1);
    assert_eq!(
        graph.clocks().iter().map(|clock| clock.flows).max(),
        Some(1)
    );
}

#[test]
fn hosts_with_one_name_have_one_clock() {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("one", 2));
    flow(10, 20, 40_000, &mut one, &mut two);
    let graph = graph_of(&merged(one, two));
    assert!(graph.clocks().is_empty() && graph.crossings().is_empty());
    let ends = (process(&graph, 10), process(&graph, 20));
    assert_eq!(
        edges(&graph, ends.0, ends.1).len(),
        1,
        "they are joined as on one host"
    );
}

#[test]
fn flows_that_contradict_each_other_do_not_turn_time_round() {
    let (mut one, mut two) = (Tale::on("one", 1), Tale::on("two", 2));
    for port in 40_000..40_009 {
        flow(10, 20, port, &mut one, &mut two);
    }
    // One end that was recorded of a flow, and of a later one the other: no flow, an hour apart.
    let (mut lost, mut other) = (Tale::on("one", 3), Tale::on("two", 4));
    flow(11, 21, 50_000, &mut lost, &mut other);
    set(&mut other, HOUR_US);
    lost.events.truncate(1);
    let mut events = merged(one, two);
    events.extend(merged(lost, other));
    events.sort_by_key(|(reference, event)| (event.time, *reference));
    let graph = graph_of(&events);
    assert!(
        graph.clocks().iter().all(|clock| clock.ahead_us == 0),
        "the median holds"
    );
    let ends = (process(&graph, 11), process(&graph, 21));
    assert!(
        edges(&graph, ends.0, ends.1).is_empty(),
        "what does not fit stays apart"
    );
}
