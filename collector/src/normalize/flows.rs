//! TCP connections by the changes of their state, and whose they are.
//!
//! The tracepoint fires in the caller's context when a connect or listen begins, and often in an
//! interrupt, in anyone's context, when the other end answers. So the process is remembered by the
//! socket's address in the kernel from the one to the other. What comes from elsewhere belongs to
//! whoever listens at its port in that network, until an accept of that process's own tells better.

use super::fact::{Fin, FlowFact, FlowWhat, Owner, Who};
use super::listeners::Listeners;
use crate::source::sock_diag::SocketRecord;
use crate::source::tracefs::{Field, Tracepoint};
use saigen_schemas::event::{Outcome, Protocol};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Connections that are followed at the most; the kernel's own tables hold about as many.
const FLOWS_MAX: usize = 65_536;

/// Recent connects and accepts that are remembered, for what another source tells of them.
const RECENT_MAX: usize = 4_096;

/// One end of a connection.
pub type End = (IpAddr, u16);

/// The fields of `sock:inet_sock_set_state`.
#[derive(Debug, Clone)]
pub struct StateFields {
    id: u16,
    socket: Field,
    old: Field,
    new: Field,
    sport: Field,
    dport: Field,
    family: Field,
    protocol: Field,
    saddr: Field,
    daddr: Field,
    saddr_v6: Field,
    daddr_v6: Field,
}

/// One change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The socket's address in the kernel: it names the socket while it lives.
    pub socket: u64,
    /// The state before.
    pub old: State,
    /// The state after.
    pub new: State,
    /// Transport.
    pub protocol: Option<Protocol>,
    /// This end.
    pub local: End,
    /// The other end.
    pub remote: End,
}

/// The states that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Data flow.
    Established,
    /// A connect is under way.
    SynSent,
    /// A connection from elsewhere is under way.
    SynReceived,
    /// Closed.
    Close,
    /// Connections are waited for.
    Listen,
    /// The other end is done.
    PeerDone,
    /// This end is done, and the other knows.
    OwnDone,
    /// Another one, on the way to the end.
    Other,
}

impl State {
    /// `TCP_ESTABLISHED` and so on, from `net/tcp_states.h`.
    fn of(number: u64) -> State {
        match number {
            1 => State::Established,
            2 => State::SynSent,
            3 => State::SynReceived,
            5 => State::OwnDone,
            7 => State::Close,
            // `TCP_CLOSE_WAIT`, `TCP_CLOSING`: its word came.
            8 | 11 => State::PeerDone,
            10 => State::Listen,
            _ => State::Other,
        }
    }
}

impl StateFields {
    /// The places of the fields; `None` if this kernel's tracepoint lacks one.
    #[must_use]
    pub fn of(point: &Tracepoint) -> Option<StateFields> {
        Some(StateFields {
            id: point.id,
            socket: point.field("skaddr")?,
            old: point.field("oldstate")?,
            new: point.field("newstate")?,
            sport: point.field("sport")?,
            dport: point.field("dport")?,
            family: point.field("family")?,
            protocol: point.field("protocol")?,
            saddr: point.field("saddr")?,
            daddr: point.field("daddr")?,
            saddr_v6: point.field("saddr_v6")?,
            daddr_v6: point.field("daddr_v6")?,
        })
    }

    /// The tracepoint's number.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Reads a raw record; `None` if it is too short or of a family without ports.
    #[must_use]
    pub fn read(&self, raw: &[u8]) -> Option<StateChange> {
        let port = |field: &Field| field.number(raw).and_then(|port| u16::try_from(port).ok());
        let v4 = |field: &Field| {
            <[u8; 4]>::try_from(field.bytes(raw)?)
                .ok()
                .map(|ip| IpAddr::V4(Ipv4Addr::from(ip)))
        };
        let v6 = |field: &Field| {
            let ip = Ipv6Addr::from(<[u8; 16]>::try_from(field.bytes(raw)?).ok()?);
            // A socket of both families names its IPv4 peers so; the wire knows only IPv4.
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        };
        let (local_ip, remote_ip) = match i32::try_from(self.family.number(raw)?).ok()? {
            libc::AF_INET => (v4(&self.saddr)?, v4(&self.daddr)?),
            libc::AF_INET6 => (v6(&self.saddr_v6)?, v6(&self.daddr_v6)?),
            _ => return None,
        };
        Some(StateChange {
            socket: self.socket.number(raw)?,
            old: State::of(self.old.number(raw)?),
            new: State::of(self.new.number(raw)?),
            protocol: match self.protocol.number(raw)? {
                // Multipath TCP is TCP to whoever watches.
                6 | 262 => Some(Protocol::Tcp),
                132 => Some(Protocol::Sctp),
                _ => None,
            },
            local: (local_ip, port(&self.sport)?),
            remote: (remote_ip, port(&self.dport)?),
        })
    }
}

/// A connection that is followed.
#[derive(Debug, Clone, Copy)]
struct Flow {
    who: Who,
    owner: Owner,
    began_us: u64,
    phase: Phase,
    fin: Fin,
    protocol: Option<Protocol>,
    remote: End,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The other end has not answered.
    Opening,
    /// It stands.
    Open,
}

/// What a connection carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Bytes sent and acknowledged.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// The kernel's cookie of the socket.
    pub cookie: u64,
}

/// Connections that are followed.
#[derive(Debug, Default)]
pub struct Flows {
    by_socket: HashMap<u64, Flow>,
    listeners: Listeners,
    /// Connections from elsewhere that no accept has been told of, by their other end.
    unaccepted: HashMap<End, u64>,
    /// What ended sockets carried, by their ends.
    carried: HashMap<(End, End), Carried>,
    /// Connects that perf saw: process and other end.
    connects: VecDeque<(u32, End)>,
    /// Accepts that audit told of: process and other end.
    accepts: VecDeque<(u32, End)>,
}

impl Flows {
    /// A socket changed its state, in the context of process `pid`, which is `caller`. Gives what happened, if that is
    /// something to record, and to whom.
    pub fn change(
        &mut self,
        change: &StateChange,
        pid: u32,
        caller: Who,
        at_us: u64,
    ) -> Option<(Who, FlowFact)> {
        match (change.old, change.new) {
            (_, State::SynSent) => {
                let flow = Flow {
                    who: caller,
                    owner: Owner::Caller,
                    began_us: at_us,
                    phase: Phase::Opening,
                    fin: Fin::No,
                    protocol: change.protocol,
                    remote: change.remote,
                };
                self.follow(change.socket, flow);
                remember(&mut self.connects, (pid, change.remote));
                None
            }
            (State::SynSent, State::Established) => {
                let flow = self.by_socket.get_mut(&change.socket)?;
                flow.began_us = at_us;
                flow.phase = Phase::Open;
                Some((
                    flow.who,
                    change.fact(FlowWhat::Connected(Outcome::Success), flow.owner),
                ))
            }
            (State::SynSent, State::Close) => {
                let flow = self.by_socket.remove(&change.socket)?;
                let mut fact = change.fact(FlowWhat::Connected(Outcome::Failure), flow.owner);
                // The socket has forgotten the other end by now.
                fact.remote = Some(flow.remote);
                Some((flow.who, fact))
            }
            (State::SynReceived, State::Established) => {
                let who = self.listeners.at(change.local.0, change.local.1, at_us);
                let flow = Flow {
                    who,
                    owner: Owner::Listener,
                    began_us: at_us,
                    phase: Phase::Open,
                    fin: Fin::No,
                    protocol: change.protocol,
                    remote: change.remote,
                };
                self.follow(change.socket, flow);
                self.unaccepted.insert(change.remote, change.socket);
                Some((who, change.fact(FlowWhat::Accepted, Owner::Listener)))
            }
            (_, State::Listen) => {
                self.listeners.begin(change.local.1, pid, caller, at_us);
                let mut fact = change.fact(FlowWhat::Listening, Owner::Caller);
                fact.remote = None;
                Some((caller, fact))
            }
            (_, State::Close) => {
                let flow = self.by_socket.remove(&change.socket)?;
                self.unaccepted.remove(&flow.remote);
                let run_us = at_us.checked_sub(flow.began_us);
                let fin = flow.fin;
                Some((
                    flow.who,
                    change.fact(FlowWhat::Closed { run_us, fin }, flow.owner),
                ))
            }
            (_, State::PeerDone) => {
                self.by_socket.get_mut(&change.socket)?.fin = Fin::Yes;
                None
            }
            // Its word may come now, and ends the socket at once; or it never comes.
            (_, State::OwnDone) => {
                self.by_socket.get_mut(&change.socket)?.fin = Fin::Perhaps;
                None
            }
            (_, State::Established | State::SynReceived | State::Other) => None,
        }
    }

    fn follow(&mut self, socket: u64, flow: Flow) {
        if self.by_socket.len() >= FLOWS_MAX {
            // Sockets whose end was lost; those that live are met again with less known of them.
            self.by_socket.clear();
            self.unaccepted.clear();
        }
        self.by_socket.insert(socket, flow);
    }

    /// Connects that are still under way when recording ends.
    pub fn unfinished(&mut self) -> Vec<(Who, FlowFact)> {
        let mut left: Vec<(u64, Flow)> = self.by_socket.drain().collect();
        left.retain(|(_, flow)| flow.phase == Phase::Opening);
        left.sort_by_key(|(socket, flow)| (flow.began_us, *socket));
        let fact = |flow: Flow| FlowFact {
            what: FlowWhat::Connected(Outcome::InProgress),
            protocol: flow.protocol,
            local: None,
            remote: Some(flow.remote),
            owner: flow.owner,
        };
        left.into_iter()
            .map(|(_, flow)| (flow.who, fact(flow)))
            .collect()
    }

    /// Audit told of an accept of `pid` from `remote`: the connection is that process's.
    pub fn accepted(&mut self, pid: u32, remote: End) {
        remember(&mut self.accepts, (pid, remote));
        let socket = self.unaccepted.remove(&remote);
        if let Some(flow) = socket.and_then(|socket| self.by_socket.get_mut(&socket)) {
            flow.who = Who::Pid(pid);
            flow.owner = Owner::Caller;
        }
    }

    /// The process that accepted a connection from `remote`, if audit told of it.
    #[must_use]
    pub fn acceptor(&self, remote: End) -> Option<u32> {
        self.accepts
            .iter()
            .rev()
            .find(|(_, end)| *end == remote)
            .map(|(pid, _)| *pid)
    }

    /// sock_diag told what a socket carried in its life.
    pub fn carried(&mut self, socket: &SocketRecord) {
        let Some(bytes) = socket.bytes else { return };
        if self.carried.len() >= RECENT_MAX {
            self.carried.clear();
        }
        let plain = |end: End| (end.0.to_canonical(), end.1);
        let carried = Carried {
            sent: bytes.0,
            received: bytes.1,
            cookie: socket.cookie,
        };
        self.carried
            .insert((plain(socket.local), plain(socket.remote)), carried);
    }

    /// What the connection between these ends carried; told once.
    pub fn take_carried(&mut self, local: End, remote: End) -> Option<Carried> {
        self.carried.remove(&(local, remote))
    }

    /// Whether somebody listens at a port, as far as perf saw.
    #[must_use]
    pub fn is_listening(&self, port: u16) -> Seen {
        if self.listeners.is_at(port) {
            Seen::Yes
        } else {
            Seen::No
        }
    }

    /// Whether perf saw this connect of TCP.
    #[must_use]
    pub fn saw_connect(&self, pid: u32, remote: End) -> Seen {
        if self.connects.iter().any(|known| *known == (pid, remote)) {
            Seen::Yes
        } else {
            Seen::No
        }
    }
}

/// Whether perf saw a connect, or a listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It did: it was TCP.
    Yes,
    /// It did not.
    No,
}

impl StateChange {
    fn fact(&self, what: FlowWhat, owner: Owner) -> FlowFact {
        FlowFact {
            what,
            protocol: self.protocol,
            local: Some(self.local),
            remote: Some(self.remote),
            owner,
        }
    }
}

fn remember(recent: &mut VecDeque<(u32, End)>, entry: (u32, End)) {
    if recent.len() >= RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: End = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000);
    const THERE: End = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 443);

    fn change(old: State, new: State) -> StateChange {
        StateChange {
            socket: 0xffff_0000,
            old,
            new,
            protocol: Some(Protocol::Tcp),
            local: HERE,
            remote: THERE,
        }
    }

    #[test]
    fn a_connection_belongs_to_who_began_it_whoever_is_interrupted() {
        let mut flows = Flows::default();
        let (caller, bystander) = (Who::Pid(7), Who::Pid(99));
        assert!(
            flows
                .change(&change(State::Close, State::SynSent), 7, caller, 10)
                .is_none()
        );
        assert_eq!(flows.saw_connect(7, THERE), Seen::Yes);
        let (who, fact) = flows
            .change(
                &change(State::SynSent, State::Established),
                99,
                bystander,
                20,
            )
            .unwrap();
        assert_eq!(
            (who, fact.what),
            (caller, FlowWhat::Connected(Outcome::Success))
        );
        assert!(
            flows
                .change(&change(State::Established, State::Other), 99, bystander, 25)
                .is_none()
        );
        let (who, fact) = flows
            .change(&change(State::Other, State::Close), 99, bystander, 30)
            .unwrap();
        assert_eq!(
            (who, fact.what),
            (
                caller,
                FlowWhat::Closed {
                    run_us: Some(10),
                    fin: Fin::No
                }
            )
        );
    }

    #[test]
    fn the_others_last_word_is_known_where_the_states_tell() {
        for (way, fin) in [
            (&[State::PeerDone, State::Other][..], Fin::Yes),
            (&[State::Other, State::OwnDone], Fin::Perhaps),
            (&[], Fin::No),
        ] {
            let mut flows = Flows::default();
            flows.change(&change(State::Close, State::SynSent), 7, Who::Pid(7), 1);
            flows.change(
                &change(State::SynSent, State::Established),
                7,
                Who::Pid(7),
                2,
            );
            let mut last = State::Established;
            for next in way {
                flows.change(&change(last, *next), 7, Who::Pid(7), 3);
                last = *next;
            }
            let (_, fact) = flows
                .change(&change(last, State::Close), 7, Who::Pid(7), 4)
                .unwrap();
            let run_us = Some(2);
            assert_eq!(fact.what, FlowWhat::Closed { run_us, fin });
        }
    }

    #[test]
    fn a_refused_connect_remembers_where_it_went() {
        let mut flows = Flows::default();
        flows.change(&change(State::Close, State::SynSent), 7, Who::Pid(7), 10);
        let forgotten = StateChange {
            remote: (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            ..change(State::SynSent, State::Close)
        };
        let (_, fact) = flows.change(&forgotten, 0, Who::Nobody, 20).unwrap();
        assert_eq!(
            (fact.what, fact.remote),
            (FlowWhat::Connected(Outcome::Failure), Some(THERE))
        );
    }

    #[test]
    fn what_comes_from_elsewhere_is_the_listeners_until_it_is_accepted() {
        let mut flows = Flows::default();
        let (listener, bystander) = (Who::Pid(5), Who::Pid(99));
        // No process has this number: which network it is in cannot be asked.
        flows
            .change(&change(State::Close, State::Listen), u32::MAX, listener, 1)
            .unwrap();
        let (who, fact) = flows
            .change(
                &change(State::SynReceived, State::Established),
                99,
                bystander,
                10,
            )
            .unwrap();
        assert_eq!((who, fact.owner), (listener, Owner::Listener));
        flows.accepted(6, THERE);
        assert_eq!(flows.acceptor(THERE), Some(6));
        let (who, fact) = flows
            .change(&change(State::Established, State::Close), 99, bystander, 20)
            .unwrap();
        assert_eq!((who, fact.owner), (Who::Pid(6), Owner::Caller));
    }

    #[test]
    fn a_connect_without_an_answer_is_told_at_the_end() {
        let mut flows = Flows::default();
        flows.change(&change(State::Close, State::SynSent), 7, Who::Pid(7), 10);
        let left = flows.unfinished();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].1.what, FlowWhat::Connected(Outcome::InProgress));
        assert!(flows.unfinished().is_empty());
    }
}
