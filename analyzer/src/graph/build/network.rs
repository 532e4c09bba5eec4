//! Flows: places of the network, and the two ends of one connection.

use std::collections::VecDeque;
use std::net::IpAddr;

use saigen_schemas::event::{
    NetworkAccepted, NetworkClosed, NetworkConnected, NetworkListening, NetworkResolved, Outcome,
    Protocol, StateSocket, Text,
};

use crate::graph::build::crossings::FarEnd;
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::store::{Endpoint, EndpointKey};
use crate::graph::{Ground, NodeId, NodeKind, Verb};
use crate::reference::EventRef;
use crate::replay::{HostId, Table, TextId};

/// The two ends of one flow within a host are seen within this time of each other. Ports are
/// reused later than that. Flows between hosts are joined when all is read.
const SAME_FLOW_US: i64 = 120_000_000;

/// Most flows that wait for their other end. Beyond, the oldest is forgotten: it then stays
/// unjoined, which loses a link and invents none.
const FLOWS_MAX: usize = 1 << 20;

/// One end of a flow: an address and a port.
type Place = (IpAddr, u16);

/// A flow: who connected, and to where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowKey {
    pub(super) protocol: Option<Protocol>,
    pub(super) client: Place,
    pub(super) server: Place,
}

/// The process at one end of a flow.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) node: NodeId,
    /// The endpoint at the other side, as this end sees it.
    endpoint: NodeId,
    pub(super) host: HostId,
    pub(super) event: EventRef,
    pub(super) at_us: i64,
    /// Its place among the ends of flows between hosts.
    far: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Ends {
    client: Option<End>,
    server: Option<End>,
}

/// Which end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Client,
    Server,
}

/// Flows whose ends may still be seen, listeners, and names of addresses.
#[derive(Default)]
pub(super) struct Network {
    endpoints: Table<EndpointKey, NodeId>,
    flows: Table<FlowKey, Ends>,
    /// Flows in the order of first sight, to forget the oldest.
    order: VecDeque<FlowKey>,
    /// Ends of flows that may go to another host.
    far: Vec<FarEnd>,
    listeners: Table<EndpointKey, NodeId>,
    names: Table<TextId, NodeId>,
    resolved: Table<(HostId, IpAddr), (NodeId, TextId)>,
}

impl Network {
    /// The ends of flows between hosts; they are asked for once.
    pub(super) fn take_far(&mut self) -> Vec<FarEnd> {
        std::mem::take(&mut self.far)
    }
}

/// Whether an address is a host's own, so that it means another place on each host.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// An IPv4 address as itself, also where a socket of both families writes it as IPv6.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

impl GraphBuilder {
    pub(super) fn connected(&mut self, scene: &Scene<'_>, net: &NetworkConnected<'_>) {
        let Some(actor) = scene.actor else {
            return;
        };
        let remote_ip = net.remote_ip.map(plain);
        let Some(key) = self.far(scene, net.protocol, remote_ip, net.remote_port, net.path) else {
            return;
        };
        let Some(endpoint) = self.endpoint(key, net.remote_host) else {
            return;
        };
        if net.outcome == Some(Outcome::Failure) {
            self.link(scene, actor, endpoint, Says::recorded(Verb::Refused));
            return;
        }
        self.name_of_address(scene, remote_ip, endpoint);
        self.link(scene, actor, endpoint, Says::recorded(Verb::Connected));
        if let Some(ip) = net.local_ip {
            self.ways.note_own(plain(ip), scene.applied.host);
        }
        let local = net.local_ip.map(plain).zip(net.local_port);
        let joined = local
            .zip(remote_ip.zip(net.remote_port))
            .is_some_and(|(client, server)| {
                let flow = FlowKey {
                    protocol: net.protocol,
                    client,
                    server,
                };
                self.see_end(scene, flow, Side::Client, (actor, endpoint))
            });
        if !joined && let Some(listener) = self.listener(scene.applied.host, key) {
            let says = Says {
                verb: Verb::Connected,
                ground: Ground::SamePlace,
            };
            self.link(scene, actor, listener, says);
        }
    }

    pub(super) fn accepted(&mut self, scene: &Scene<'_>, net: &NetworkAccepted<'_>) {
        let Some(actor) = scene.actor else {
            return;
        };
        let remote_ip = net.remote_ip.map(plain);
        // A client's port tells only this flow apart, and a place must be found again.
        let key = match remote_ip {
            Some(_) => self.far(scene, net.protocol, remote_ip, None, None),
            None => self.far(scene, net.protocol, None, None, net.path),
        };
        let Some(endpoint) = key.and_then(|key| self.endpoint(key, net.remote_host)) else {
            return;
        };
        self.link(scene, endpoint, actor, Says::recorded(Verb::Accepted));
        if let Some(ip) = net.local_ip {
            self.ways.note_own(plain(ip), scene.applied.host);
        }
        let local = net.local_ip.map(plain).zip(net.local_port);
        if let Some((server, client)) = local.zip(remote_ip.zip(net.remote_port)) {
            let flow = FlowKey {
                protocol: net.protocol,
                client,
                server,
            };
            self.see_end(scene, flow, Side::Server, (actor, endpoint));
        }
    }

    pub(super) fn listening(&mut self, scene: &Scene<'_>, net: &NetworkListening<'_>) {
        let path = self.keep_path(net.path);
        let key = EndpointKey {
            host: Some(scene.applied.host),
            protocol: net.protocol,
            ip: net.local_ip.map(plain),
            port: net.local_port,
            path,
        };
        if let Some(ip) = key.ip {
            self.ways.note_own(ip, scene.applied.host);
        }
        self.listens(scene, key);
    }

    /// A socket that stood when recording began: a listener, or one end of a flow.
    pub(super) fn stood_open(&mut self, scene: &Scene<'_>, socket: &StateSocket<'_>) {
        let remote = socket
            .remote_ip
            .zip(socket.remote_port.filter(|&port| port != 0));
        let Some((ip, port)) = remote else {
            let path = self.keep_path(socket.path);
            let key = EndpointKey {
                host: Some(scene.applied.host),
                protocol: socket.protocol,
                ip: socket.local_ip.map(plain),
                port: socket.local_port,
                path,
            };
            let waits = socket
                .state
                .is_none_or(|state| state.0.eq_ignore_ascii_case(b"listen"));
            if waits {
                self.listens(scene, key);
            }
            return;
        };
        // Who began it is not known; as a connection to the far place it is at least shown.
        let far = self.far(scene, socket.protocol, Some(plain(ip)), Some(port), None);
        let endpoint = far.and_then(|key| self.endpoint(key, None));
        if let Some((actor, endpoint)) = scene.actor.zip(endpoint) {
            self.link(scene, actor, endpoint, Says::recorded(Verb::Connected));
        }
    }

    /// The end of a flow, with its bytes. The record often has no process: its tuple finds it.
    pub(super) fn closed(&mut self, scene: &Scene<'_>, net: &NetworkClosed) {
        let local = net.local_ip.map(plain).zip(net.local_port);
        let remote = net.remote_ip.map(plain).zip(net.remote_port);
        let Some((local, remote)) = local.zip(remote) else {
            return;
        };
        let protocol = net.protocol;
        let out = FlowKey {
            protocol,
            client: local,
            server: remote,
        };
        let into = FlowKey {
            protocol,
            client: remote,
            server: local,
        };
        let bytes = (net.sent_bytes, net.received_bytes);
        if let Some(ends) = self.network.flows.get(&out).copied()
            && let Some(own) = ends.client
        {
            self.note_bytes(scene, own, ends.server, bytes);
        } else if let Some(ends) = self.network.flows.get(&into).copied()
            && let Some(own) = ends.server
        {
            self.note_bytes(scene, own, ends.client, bytes);
        } else if let Some(actor) = scene.actor {
            let far = self.far(scene, protocol, Some(remote.0), Some(remote.1), None);
            if let Some(endpoint) = far.and_then(|key| self.endpoint(key, None)) {
                let own = End {
                    node: actor,
                    endpoint,
                    host: scene.applied.host,
                    event: scene.event,
                    at_us: scene.at_us,
                    far: None,
                };
                self.note_bytes(scene, own, None, bytes);
            }
        }
    }

    pub(super) fn resolved(&mut self, scene: &Scene<'_>, net: &NetworkResolved<'_>) {
        let Some(query) = net.query.filter(|query| !query.is_empty()) else {
            return;
        };
        let Some((name, text)) = self.name_node(query) else {
            return;
        };
        if let Some(actor) = scene.actor {
            self.link(scene, actor, name, Says::recorded(Verb::Resolved));
        }
        for answer in net.answers.into_iter().flat_map(|answers| answers.iter()) {
            let ip = std::str::from_utf8(answer.0)
                .ok()
                .and_then(|text| text.parse().ok());
            if let Some(ip) = ip {
                let key = (scene.applied.host, plain(ip));
                self.network.resolved.insert(key, (name, text));
            }
        }
    }

    /// The node of a place that connections come from, without a port.
    pub(super) fn origin(
        &mut self,
        scene: &Scene<'_>,
        ip: Option<IpAddr>,
        name: Option<Text<'_>>,
    ) -> Option<NodeId> {
        let key = self.far(scene, Some(Protocol::Tcp), Some(plain(ip?)), None, None)?;
        self.endpoint(key, name)
    }

    fn keep_path(&mut self, path: Option<Text<'_>>) -> Option<TextId> {
        path.filter(|path| !path.is_empty())
            .and_then(|path| self.texts.intern(path.0))
    }

    /// The other end of a flow as a place. Own addresses and Unix sockets belong to their host.
    fn far(
        &mut self,
        scene: &Scene<'_>,
        protocol: Option<Protocol>,
        ip: Option<IpAddr>,
        port: Option<u16>,
        path: Option<Text<'_>>,
    ) -> Option<EndpointKey> {
        let path = self.keep_path(path);
        if ip.is_none() && path.is_none() {
            return None;
        }
        let own = ip.is_none_or(is_own);
        let host = own.then_some(scene.applied.host);
        Some(EndpointKey {
            host,
            protocol,
            ip,
            port,
            path,
        })
    }

    fn endpoint(&mut self, key: EndpointKey, name: Option<Text<'_>>) -> Option<NodeId> {
        let name = self.keep_path(name);
        if let Some(&node) = self.network.endpoints.get(&key) {
            self.name_endpoint(node, name);
            return Some(node);
        }
        let node = self.add_node(NodeKind::Endpoint, self.store.endpoints.len())?;
        self.store.endpoints.push(Endpoint { key, name });
        self.network.endpoints.insert(key, node);
        Some(node)
    }

    fn name_endpoint(&mut self, node: NodeId, name: Option<TextId>) {
        let row = self
            .store
            .nodes
            .get(node.index())
            .map(|node| node.row as usize);
        if let Some(endpoint) = row.and_then(|row| self.store.endpoints.get_mut(row)) {
            endpoint.name = endpoint.name.or(name);
        }
    }

    fn name_node(&mut self, name: Text<'_>) -> Option<(NodeId, TextId)> {
        let text = self.texts.intern(name.0)?;
        if let Some(&node) = self.network.names.get(&text) {
            return Some((node, text));
        }
        let node = self.add_node(NodeKind::Name, self.store.names.len())?;
        self.store.names.push(text);
        self.network.names.insert(text, node);
        Some((node, text))
    }

    /// The name by which this host had learnt an address.
    fn name_of_address(&mut self, scene: &Scene<'_>, ip: Option<IpAddr>, endpoint: NodeId) {
        let known = ip.and_then(|ip| self.network.resolved.get(&(scene.applied.host, ip)));
        if let Some(&(name, text)) = known {
            self.name_endpoint(endpoint, Some(text));
            self.link(scene, name, endpoint, Says::recorded(Verb::Resolved));
        }
    }

    fn listens(&mut self, scene: &Scene<'_>, key: EndpointKey) {
        if key.port.is_none() && key.path.is_none() {
            return;
        }
        if let Some((actor, place)) = scene.actor.zip(self.endpoint(key, None)) {
            self.link(scene, actor, place, Says::recorded(Verb::Listened));
            self.network.listeners.insert(key, actor);
        }
    }

    /// Who listens on this host where someone connects to: at that very address, or at all.
    fn listener(&self, host: HostId, to: EndpointKey) -> Option<NodeId> {
        to.host?;
        let at = |ip: Option<IpAddr>| {
            let key = EndpointKey {
                host: Some(host),
                ip,
                ..to
            };
            self.network.listeners.get(&key).copied()
        };
        at(to.ip)
            .or_else(|| at(Some(IpAddr::from([0_u8; 4]))))
            .or_else(|| at(Some(IpAddr::from([0_u8; 16]))))
    }

    /// One end of a flow is seen; says whether the other was, too, and joins them.
    fn see_end(
        &mut self,
        scene: &Scene<'_>,
        flow: FlowKey,
        side: Side,
        (node, endpoint): (NodeId, NodeId),
    ) -> bool {
        let network = &mut self.network;
        let leaves = !is_own(flow.client.0) && !is_own(flow.server.0);
        let far = (leaves && network.far.len() < FLOWS_MAX).then_some(network.far.len());
        let end = End {
            node,
            endpoint,
            host: scene.applied.host,
            event: scene.event,
            at_us: scene.at_us,
            far,
        };
        if far.is_some() {
            network.far.push(FarEnd {
                flow,
                side,
                end,
                bytes: (None, None),
            });
        }
        if !network.flows.contains_key(&flow) {
            if network.flows.len() >= FLOWS_MAX
                && let Some(oldest) = network.order.pop_front()
            {
                network.flows.remove(&oldest);
            }
            network.order.push_back(flow);
        }
        let ends = network.flows.entry(flow).or_default();
        let (own, other) = match side {
            Side::Client => (&mut ends.client, &mut ends.server),
            Side::Server => (&mut ends.server, &mut ends.client),
        };
        *own = Some(end);
        // An end that was seen long ago is of an earlier flow between the same ports. Loopback
        // addresses of two hosts are never the same place.
        let apart = |other: &End| {
            let late = other.at_us.abs_diff(end.at_us) > SAME_FLOW_US.unsigned_abs();
            other.host == end.host && late || other.host != end.host && !leaves
        };
        if other.as_ref().is_some_and(apart) {
            *other = None;
        }
        let Ends { client, server } = *ends;
        let within = client
            .zip(server)
            .filter(|(client, server)| client.host == server.host);
        if let Some((client, server)) = within {
            self.join_flow(scene, client, server);
        }
        within.is_some()
    }

    fn join_flow(&mut self, scene: &Scene<'_>, client: End, server: End) {
        let says = Says {
            verb: Verb::Connected,
            ground: Ground::SameFlow,
        };
        let edge = self.link(scene, client.node, server.node, says);
        if let Some(edge) = edge {
            self.store.cover(edge, client.at_us, client.event);
            self.store.cover(edge, server.at_us, server.event);
        }
    }

    /// Bytes of a flow, as one end counted them.
    fn note_bytes(
        &mut self,
        scene: &Scene<'_>,
        own: End,
        other: Option<End>,
        (sent, received): (Option<u64>, Option<u64>),
    ) {
        let other = other.filter(|other| other.host == own.host);
        if let Some(far) = own.far.and_then(|at| self.network.far.get_mut(at)) {
            far.bytes = (sent, received);
        }
        // Whoever sent when is not recorded: bytes may have gone since the flow began.
        let since_us = own.at_us.min(scene.at_us);
        let flows = [(sent, Verb::Sent), (received, Verb::Received)];
        for (bytes, verb) in flows {
            let Some(bytes) = bytes.filter(|&bytes| bytes > 0) else {
                continue;
            };
            let outward = verb == Verb::Sent;
            let places = if outward {
                (own.node, own.endpoint)
            } else {
                (own.endpoint, own.node)
            };
            self.carried(scene, since_us, places, (Says::recorded(verb), bytes));
            if let Some(other) = other {
                let ends = if outward {
                    (own.node, other.node)
                } else {
                    (other.node, own.node)
                };
                let says = Says {
                    verb,
                    ground: Ground::SameFlow,
                };
                self.carried(scene, since_us, ends, (says, bytes));
            }
        }
    }

    fn carried(
        &mut self,
        scene: &Scene<'_>,
        since_us: i64,
        ends: (NodeId, NodeId),
        (says, bytes): (Says, u64),
    ) {
        let edge = self.link_at(scene, scene.at_us, ends, says);
        if let Some(edge) = edge {
            self.store.edges.carry(edge, since_us, bytes);
        }
    }
}
