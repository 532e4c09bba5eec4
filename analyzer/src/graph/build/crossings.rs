//! Flows that two hosts recorded, one end each, and how far the hosts' clocks are apart.
//!
//! The two ends are found by the four values of the flow alone where only one end of each side is known for hours:
//! then the clocks need not agree. Such flows say how far each clock is ahead. With that known, the other
//! flows are joined, whose ports were used again, and those that do not fit it are left apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::build::network::{End, FlowKey, Side};
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::query::{Crossing, HostClock};
use crate::graph::{Ground, Verb};
use crate::replay::{HostId, Replay};

/// How far the clocks of two hosts may plausibly be apart: a wrong time zone or a summer time, and
/// some hours more. Within it the four values of a flow must be unique to speak for themselves.
const CLOCKS_APART_US: i64 = 6 * 3600 * 1_000_000;

/// The two records of one flow lie within this time of each other when the skew is taken out
/// (seen: 40 s, from a recorder that writes late). Ports are used again later than that.
const HELD_US: u64 = 120_000_000;

/// An end of a flow between two machines.
#[derive(Clone, Copy)]
pub(super) struct FarEnd {
    pub(super) flow: FlowKey,
    pub(super) side: Side,
    pub(super) end: End,
    /// Bytes that it sent and received, where the record of its end says.
    pub(super) bytes: (Option<u64>, Option<u64>),
}

/// The ends of one flow's four values: clients, and servers.
type Sides = (Vec<FarEnd>, Vec<FarEnd>);

/// How far the second host's clock is ahead of the first one's, by each flow.
type Samples = BTreeMap<(HostId, HostId), Vec<i64>>;

impl GraphBuilder {
    /// Joins the flows that two hosts recorded, and says how far the hosts' clocks are apart.
    pub(super) fn join_hosts(&mut self, replay: &Replay) -> Vec<HostClock> {
        let flows = by_flow(self.network.take_far());
        let mut samples = Samples::new();
        for sides in &flows {
            note_samples(sides, &mut samples);
        }
        let clocks = clocks(&mut samples);
        let ahead: BTreeMap<HostId, &HostClock> =
            clocks.iter().map(|clock| (clock.host, clock)).collect();
        for sides in &flows {
            for (client, server) in pairs(sides, &ahead) {
                self.join_ends(replay, &client, &server);
            }
        }
        self.ways.crossings.sort_by_key(|flow| {
            (
                flow.server_host,
                flow.server_us,
                flow.server_event,
                flow.client_event,
            )
        });
        clocks
    }

    fn join_ends(&mut self, replay: &Replay, client: &FarEnd, server: &FarEnd) {
        let (from, to) = (client.end, server.end);
        let Some(mut scene) = Scene::of_act(replay, from.event, from.at_us, Some(from.node)) else {
            return;
        };
        let says = |verb| Says {
            verb,
            ground: Ground::SameFlow,
        };
        self.ways.crossings.push(Crossing {
            client: from.node,
            client_host: from.host,
            client_us: from.at_us,
            client_event: from.event,
            server: to.node,
            server_host: to.host,
            server_us: to.at_us,
            server_event: to.event,
            server_port: client.flow.server.1,
            client_port: client.flow.client.1,
        });
        // The edge has the client's clock, and a record of each end.
        let ends = (from.node, to.node);
        if let Some(edge) = self.link_at(&scene, from.at_us, ends, says(Verb::Connected)) {
            self.store.cover(edge, from.at_us, to.event);
            scene.event = to.event;
            scene.actor = None;
            self.touch(&scene, edge);
        }
        let own = client.bytes;
        let (sent, received) = if own == (None, None) {
            (server.bytes.1, server.bytes.0)
        } else {
            own
        };
        // Each of these has the clock of the host that the bytes came from.
        let ways = [
            (sent, from, to, Verb::Sent),
            (received, to, from, Verb::Received),
        ];
        for (bytes, giver, taker, verb) in ways {
            scene.event = giver.event;
            scene.at_us = giver.at_us;
            scene.actor = Some(giver.node);
            if let Some(bytes) = bytes.filter(|&bytes| bytes > 0)
                && let Some(edge) = self.link(&scene, giver.node, taker.node, says(verb))
            {
                self.store.edges.carry(edge, giver.at_us, bytes);
            }
        }
    }
}

/// The ends by flow; of what one host recorded twice of an end the first record.
fn by_flow(mut ends: Vec<FarEnd>) -> Vec<Sides> {
    ends.sort_by_key(|far| {
        (
            far.flow,
            far.side,
            far.end.host,
            far.end.at_us,
            far.end.event,
        )
    });
    let mut flows: Vec<Sides> = Vec::new();
    for list in ends.chunk_by(|one, other| one.flow == other.flow) {
        let (mut clients, mut servers): Sides = Default::default();
        for far in list {
            let side = match far.side {
                Side::Client => &mut clients,
                Side::Server => &mut servers,
            };
            let again = side.iter_mut().rev().find(|known| {
                known.end.host == far.end.host
                    && known.end.node == far.end.node
                    && known.end.at_us.abs_diff(far.end.at_us) <= HELD_US
            });
            match again {
                Some(known) if known.bytes == (None, None) => known.bytes = far.bytes,
                Some(_) => {}
                None => side.push(*far),
            }
        }
        if !clients.is_empty() && !servers.is_empty() {
            flows.push((clients, servers));
        }
    }
    flows
}

/// How far two clocks are apart by a flow of which one end of each side is known for hours.
fn note_samples((clients, servers): &Sides, samples: &mut Samples) {
    let near = |one: &FarEnd, other: &FarEnd| {
        one.end.at_us.abs_diff(other.end.at_us) <= CLOCKS_APART_US.unsigned_abs()
    };
    for client in clients {
        let mut others = servers.iter().filter(|server| near(client, server));
        let (Some(server), None) = (others.next(), others.next()) else {
            continue;
        };
        let alone = clients.iter().filter(|other| near(server, other)).count() == 1;
        if alone && client.end.host != server.end.host {
            let apart = server.end.at_us - client.end.at_us;
            let (one, other) = (client.end.host, server.end.host);
            samples.entry((one, other)).or_default().push(apart);
            samples.entry((other, one)).or_default().push(-apart);
        }
    }
}

/// Places one host after another beside those whose clocks are known, the one with the most flows
/// to them first. The reference is the host with the most flows; what shares no flow with it has
/// a reference of its own.
fn clocks(samples: &mut Samples) -> Vec<HostClock> {
    for list in samples.values_mut() {
        list.sort_unstable();
    }
    let hosts: BTreeSet<HostId> = samples.keys().map(|(host, _)| *host).collect();
    let flows_of = |host: HostId| -> usize {
        let own = samples.iter().filter(|((one, _), _)| *one == host);
        own.map(|(_, list)| list.len()).sum()
    };
    let mut placed: Vec<HostClock> = Vec::new();
    while placed.len() < hosts.len() {
        let known: BTreeMap<HostId, HostClock> =
            placed.iter().map(|clock| (clock.host, *clock)).collect();
        let next = samples
            .iter()
            .filter(|((from, to), _)| known.contains_key(from) && !known.contains_key(to))
            .max_by_key(|((from, to), list)| {
                (list.len(), std::cmp::Reverse(*from), std::cmp::Reverse(*to))
            });
        let clock = match next {
            Some(((from, to), list)) => {
                let before = known.get(from);
                HostClock {
                    host: *to,
                    reference: before.map_or(*from, |before| before.reference),
                    ahead_us: before.map_or(0, |before| before.ahead_us) + median(list),
                    by: Some(*from),
                    flows: list.len(),
                    spread_us: spread(list),
                }
            }
            None => {
                let free = hosts.iter().filter(|host| !known.contains_key(host));
                let Some(&host) =
                    free.max_by_key(|host| (flows_of(**host), std::cmp::Reverse(**host)))
                else {
                    break;
                };
                HostClock {
                    host,
                    reference: host,
                    ahead_us: 0,
                    by: None,
                    flows: 0,
                    spread_us: 0,
                }
            }
        };
        placed.push(clock);
    }
    placed
}

/// The middle of a sorted list.
fn median(list: &[i64]) -> i64 {
    list.get(list.len() / 2).copied().unwrap_or(0)
}

/// How far the middle half of a sorted list lies apart.
fn spread(list: &[i64]) -> i64 {
    let at = |part: usize| list.get(list.len() * part / 4).copied();
    at(3).zip(at(1)).map_or(0, |(late, early)| late - early)
}

/// Which client's end is the other side of which server's: the nearest ones in time when the skew is
/// taken out, each once.
fn pairs(
    (clients, servers): &Sides,
    ahead: &BTreeMap<HostId, &HostClock>,
) -> Vec<(FarEnd, FarEnd)> {
    let mut near: Vec<(u64, usize, usize)> = Vec::new();
    for (one, client) in clients.iter().enumerate() {
        for (other, server) in servers.iter().enumerate() {
            let (from, to) = (client.end.host, server.end.host);
            if from == to {
                continue;
            }
            // Clocks of hosts that nothing compares are taken as they are.
            let skew = match (ahead.get(&from), ahead.get(&to)) {
                (Some(from), Some(to)) if from.reference == to.reference => {
                    to.ahead_us - from.ahead_us
                }
                (Some(_) | None, Some(_) | None) => 0,
            };
            let apart = (server.end.at_us - client.end.at_us).abs_diff(skew);
            if apart <= HELD_US {
                near.push((apart, one, other));
            }
        }
    }
    near.sort_unstable();
    let (mut used, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    for (_, one, other) in near {
        if !used.contains(&one) && !taken.contains(&other) {
            used.insert(one);
            taken.insert(other);
            pairs.extend(clients.get(one).copied().zip(servers.get(other).copied()));
        }
    }
    pairs
}
