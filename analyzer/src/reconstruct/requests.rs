//! Requests: which connection a server was serving when it started a process.
//!
//! A server runs for months and talks to everyone. Only the connection that it was serving then
//! is a cause of what it started: the long-running process is cut into units by request. The graph
//! merges connections of one client into one edge; here each keeps its own moment.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use saigen_schemas::event::{Event, Kind, NetworkClosed, NetworkConnected};

use crate::graph::NodeId;
use crate::reconstruct::world::World;
use crate::reference::EventRef;

/// A connection that was taken longer before than this is no longer called the cause of what a
/// server starts: an ordinary keep-alive ends within minutes.
const SERVED_WITHIN_US: i64 = 10 * 60 * 1_000_000;

/// The most copies of a server that are climbed to the one that took the connection.
const WORKERS_MAX: usize = 8;

/// Records of two sources about one moment may be this far apart.
const CLOCKS_APART_US: i64 = 2_000;

/// The most connections that are looked at for one that was open.
const OPEN_MAX: usize = 256;

/// The most proxies, one before the other, through which a request is followed.
const FRONTS_MAX: usize = 4;

/// The two ends of a connection of a host with itself are recorded within this time of each other:
/// a server that is busy takes it from its queue later than it was opened.
const ENDS_APART_US: u64 = 5_000_000;

/// A server with fewer connections than this says nothing about who its usual clients are.
const FEW_CONNECTIONS: usize = 20;

/// The most connections that are kept: 64 bytes each. Beyond it, the latest are not known.
const CONNECTIONS_MAX: usize = 4_000_000;

/// A connection that a process took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    us: i64,
    /// When its record says that it was taken: the end of it may tell better.
    accepted_us: i64,
    seen: EventRef,
    ip: IpAddr,
    port: Option<u16>,
    local_port: Option<u16>,
    closed_us: Option<i64>,
    peer: Option<Peer>,
    /// The process of the same host that opened it, where that was recorded.
    near: Option<NodeId>,
}

/// The process on another recorded host that opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The process.
    pub(super) process: NodeId,
    /// When, by its host's clock.
    pub(super) us: i64,
    /// The record of its end.
    pub(super) event: EventRef,
}

/// Collects the connections that processes took, event by event, beside the graph.
#[derive(Debug, Default)]
pub struct Connections {
    taken: Vec<Taken>,
    /// The last connection between a port here and a place there, for the record of its end.
    open: HashMap<(u16, IpAddr, u16), usize>,
    /// Connections that a process opened to its own host: from which port, to which, when.
    own: BTreeMap<(u16, u16), Vec<(i64, EventRef)>>,
    own_count: usize,
}

impl Connections {
    /// Takes the next event; events come in the order in which the graph takes them.
    pub fn apply(&mut self, reference: EventRef, event: &Event<'_>) {
        if let Kind::NetworkAccepted(accepted) = &event.kind {
            let Some(ip) = accepted
                .remote_ip
                .filter(|_| self.taken.len() < CONNECTIONS_MAX)
            else {
                return;
            };
            let at_us = event.time.wall_us;
            if let (Some(local), Some(remote)) = (accepted.local_port, accepted.remote_port) {
                let flow = (local, ip.to_canonical(), remote);
                let known = self.open.get(&flow).and_then(|&at| self.taken.get(at));
                // The same log may be given twice.
                if known.is_some_and(|known| known.accepted_us == at_us) {
                    return;
                }
                self.open.insert(flow, self.taken.len());
            }
            self.taken.push(Taken {
                us: at_us,
                accepted_us: at_us,
                seen: reference,
                ip: ip.to_canonical(),
                port: accepted.remote_port,
                local_port: accepted.local_port,
                closed_us: None,
                peer: None,
                near: None,
            });
        } else if let Kind::NetworkConnected(connected) = &event.kind {
            self.keep_own(reference, event.time.wall_us, connected);
        } else if let Kind::NetworkClosed(closed) = &event.kind {
            self.close(event.time.wall_us, closed);
        }
    }

    /// Keeps a connection of a host with itself: the other end is found by its ports.
    fn keep_own(&mut self, reference: EventRef, us: i64, connected: &NetworkConnected<'_>) {
        let ports = connected.local_port.zip(connected.remote_port);
        let remote = connected.remote_ip.map(|ip| ip.to_canonical());
        let own = remote.is_some_and(|ip| {
            ip.is_loopback() || connected.local_ip.map(|ip| ip.to_canonical()) == Some(ip)
        });
        if let Some(ports) = ports.filter(|_| own && self.own_count < CONNECTIONS_MAX) {
            self.own.entry(ports).or_default().push((us, reference));
            self.own_count += 1;
        }
    }

    /// The record of a connection's end says how long it had lasted. That is nearer to the truth
    /// than the record of `accept(2)`, which may bear the moment at which the server began to wait.
    fn close(&mut self, us: i64, closed: &NetworkClosed) {
        let (Some(local), Some(ip), Some(remote)) =
            (closed.local_port, closed.remote_ip, closed.remote_port)
        else {
            return;
        };
        let Some(index) = self.open.remove(&(local, ip.to_canonical(), remote)) else {
            return;
        };
        let lasted = closed.run_us.and_then(|run| i64::try_from(run).ok());
        if let Some(taken) = self.taken.get_mut(index) {
            taken.closed_us = Some(us);
            taken.us = lasted.map_or(taken.us, |lasted| taken.us.max(us.saturating_sub(lasted)));
        }
    }
}

/// The connection that a server was serving when it started something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The process that took the connection.
    pub(super) server: NodeId,
    /// When it was taken.
    pub(super) us: i64,
    /// Who had opened it.
    pub(super) ip: IpAddr,
    /// From which port.
    pub(super) port: Option<u16>,
    /// At which port of the server.
    pub(super) local_port: Option<u16>,
    /// The record.
    pub(super) seen: EventRef,
    /// Who opened it, where that end was recorded, too.
    pub(super) peer: Option<Peer>,
    /// How long before the start it was taken.
    pub(super) before_us: i64,
    /// Whether a process of its own served this connection, or the server had no other.
    pub(super) alone: bool,
    /// Where the request came in, if a proxy of its own host or of another had passed it on.
    pub(super) front: Option<Front>,
}

/// A client's connection to a server that passed the request on to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    /// The process that took the client's connection.
    pub(super) server: NodeId,
    /// The record of that.
    pub(super) seen: EventRef,
    /// When, by the clock of its host.
    pub(super) us: i64,
    /// The client.
    pub(super) ip: IpAddr,
    /// From which port.
    pub(super) port: Option<u16>,
    /// At which port of the server.
    pub(super) local_port: Option<u16>,
}

impl Request {
    /// The server that the client itself reached.
    pub(super) fn reached(&self) -> NodeId {
        self.front.map_or(self.server, |front| front.server)
    }

    /// The address of the client itself, in front of all proxies that were recorded.
    pub(super) fn client(&self) -> IpAddr {
        self.front.map_or(self.ip, |front| front.ip)
    }

    /// The client's address and port.
    pub(super) fn asker(&self) -> (IpAddr, Option<u16>) {
        self.front
            .map_or((self.ip, self.port), |front| (front.ip, front.port))
    }

    /// Its records, the client's connection first.
    pub(super) fn records(&self) -> Vec<EventRef> {
        let front = self.front.map(|front| front.seen);
        front.into_iter().chain([self.seen]).collect()
    }
}

/// The requests of all servers of a graph.
pub(super) struct Requests {
    /// By the process that took them, in order of time.
    taken: BTreeMap<NodeId, Vec<Taken>>,
}

impl Requests {
    /// Gives each connection to the process that took it.
    pub(super) fn new(world: &World<'_>, connections: &Connections) -> Self {
        let mut taken: BTreeMap<NodeId, Vec<Taken>> = BTreeMap::new();
        let flows = world.graph.crossings().iter();
        let peers: HashMap<(NodeId, i64, Option<u16>), Peer> = flows
            .map(|flow| {
                let peer = Peer {
                    process: flow.client,
                    us: flow.client_us,
                    event: flow.client_event,
                };
                let taken = (flow.server, flow.server_us, Some(flow.client_port));
                (taken, peer)
            })
            .collect();
        for one in &connections.taken {
            if let Some(process) = world.graph.actor_at(one.seen) {
                let peer = peers.get(&(process, one.accepted_us, one.port)).copied();
                let near = near_end(world, connections, one, process);
                let one = Taken { peer, near, ..*one };
                taken.entry(process).or_default().push(one);
            }
        }
        for list in taken.values_mut() {
            list.sort_by_key(|one| (one.us, one.seen));
        }
        Self { taken }
    }

    fn of(&self, process: NodeId) -> &[Taken] {
        self.taken.get(&process).map_or(&[], Vec::as_slice)
    }

    /// The connection that led to a process below a server.
    pub(super) fn behind_process(
        &self,
        world: &World<'_>,
        server: NodeId,
        process: NodeId,
    ) -> Option<Request> {
        let facts = world.process(process)?;
        self.behind(world, server, facts.start_us, facts.end_us)
    }

    /// The connection that led to what a server did from one moment to another: of those that
    /// were open then, and still when it was done, the last one that it had taken; where a worker
    /// was made for a connection, that one.
    pub(super) fn behind(
        &self,
        world: &World<'_>,
        server: NodeId,
        from_us: i64,
        to_us: Option<i64>,
    ) -> Option<Request> {
        let (mut at, mut until_us, mut alone) = (server, from_us, false);
        for _ in 0..WORKERS_MAX {
            let list = self.of(at);
            let cut = list.partition_point(|one| one.us <= until_us);
            let before = list.get(..cut).unwrap_or_default();
            let done_us = to_us.filter(|_| !alone);
            if let Some(one) = served(before, until_us, done_us).or(before.last()) {
                let front = self.through(world, at, one, (from_us, to_us), FRONTS_MAX);
                let request = Request {
                    server: at,
                    us: one.us,
                    ip: one.ip,
                    port: one.port,
                    local_port: one.local_port,
                    seen: one.seen,
                    peer: one.peer,
                    before_us: from_us.saturating_sub(one.us),
                    alone: front.is_none() && (alone || list.len() == 1),
                    front,
                };
                // A proxy keeps its connections open for further requests: then only its client's
                // says how old the request is, and `through` has looked at that.
                let young = front.is_some() || request.before_us <= SERVED_WITHIN_US;
                return Some(request).filter(|_| young);
            }
            let worker = world.process(at)?;
            let above = world.cause(at).filter(|_| world.is_worker(at))?;
            // A worker that was made right after a connection was taken serves that one alone.
            (at, until_us, alone) = (above, worker.start_us, true);
        }
        None
    }

    /// Where a request came in, if who opened its connection is a proxy: a process that was itself
    /// serving a connection at that time, and opens others to pass requests on.
    fn through(
        &self,
        world: &World<'_>,
        server: NodeId,
        one: &Taken,
        (from_us, to_us): (i64, Option<i64>),
        fronts: usize,
    ) -> Option<Front> {
        let proxy = one.near.or(one.peer.map(|peer| peer.process))?;
        // Moments of the server's host by the clock of the proxy's.
        let apart = world
            .even_us(server, 0)
            .saturating_sub(world.even_us(proxy, 0));
        let (from_us, to_us) = (
            from_us.saturating_add(apart),
            to_us.map(|us| us.saturating_add(apart)),
        );
        let list = self.of(proxy);
        let cut = list.partition_point(|taken| taken.us <= from_us);
        let outer = served(list.get(..cut).unwrap_or_default(), from_us, to_us)?;
        if from_us.saturating_sub(outer.us) > SERVED_WITHIN_US {
            return None;
        }
        let further = (fronts > 1)
            .then(|| self.through(world, proxy, outer, (from_us, to_us), fronts - 1))
            .flatten();
        Some(further.unwrap_or(Front {
            server: proxy,
            seen: outer.seen,
            us: outer.us,
            ip: outer.ip,
            port: outer.port,
            local_port: outer.local_port,
        }))
    }

    /// Whether the address of a request stands for many clients: nearly all of a busy server's
    /// connections come from it, as with a reverse proxy that was not recorded. Then sharing it
    /// means nothing.
    pub(super) fn is_everyone(&self, request: &Request) -> bool {
        let (list, ip) = (self.of(request.reached()), request.client());
        let same = list.iter().filter(|one| one.ip == ip).count();
        list.len() >= FEW_CONNECTIONS && same * 5 >= list.len() * 4
    }

    /// How many connections a server took from the address of a request, and how many from others.
    pub(super) fn share(&self, request: &Request) -> (usize, usize) {
        let list = self.of(request.reached());
        let client = request.client();
        let same = list.iter().filter(|one| one.ip == client).count();
        (same, list.len() - same)
    }
}

/// The process of a server's own host that opened a connection to it: the one whose record has the
/// ports of the server's, just before or, from another source, just after.
fn near_end(
    world: &World<'_>,
    connections: &Connections,
    one: &Taken,
    server: NodeId,
) -> Option<NodeId> {
    let opened = connections.own.get(&(one.port?, one.local_port?))?;
    let host = world.graph.host_of(server);
    let apart = |us: i64| us.abs_diff(one.accepted_us);
    let (_, process) = opened
        .iter()
        .filter(|(us, _)| apart(*us) <= ENDS_APART_US)
        .filter_map(|(us, seen)| Some((*us, world.graph.actor_at(*seen)?)))
        .filter(|(_, process)| *process != server && world.graph.host_of(*process) == host)
        .min_by_key(|(us, process)| (apart(*us), *process))?;
    Some(process)
}

/// Of the connections taken before a moment the last that was open then, and at another moment
/// when what was done for it was done: the answer goes out after that. Without the second moment,
/// the last that was open.
fn served(before: &[Taken], at_us: i64, done_us: Option<i64>) -> Option<&Taken> {
    let open_at = |one: &Taken, us: i64| {
        one.closed_us
            .is_none_or(|closed| closed + CLOCKS_APART_US >= us)
    };
    let recent = || {
        before
            .iter()
            .rev()
            .take(OPEN_MAX)
            .filter(|one| open_at(one, at_us))
    };
    recent()
        .find(|one| open_at(one, done_us.unwrap_or(at_us)))
        .or_else(|| recent().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::SourceId;

    fn taken(us: i64, last: u8, closed_us: Option<i64>) -> Taken {
        Taken {
            us,
            accepted_us: us,
            seen: EventRef::frame(SourceId(1), 1, u32::from(last)),
            ip: IpAddr::from([192, 0, 2, last]),
            port: None,
            local_port: None,
            closed_us,
            peer: None,
            near: None,
        }
    }

    #[test]
    fn of_two_open_connections_the_one_that_waits_for_the_answer_was_served() {
        let list = [
            taken(0, 1, Some(5_000)),
            taken(10_000, 2, Some(60_000)),
            taken(10_100, 3, Some(14_000)),
        ];
        let ip = |at, done| served(&list, at, done).map(|one| one.ip.to_string());
        assert_eq!(ip(11_000, Some(55_000)).as_deref(), Some("192.0.2.2"));
        assert_eq!(ip(11_000, Some(12_000)).as_deref(), Some("192.0.2.3"));
        assert_eq!(ip(11_000, None).as_deref(), Some("192.0.2.3"));
        assert_eq!(ip(90_000, None), None);
    }
}
