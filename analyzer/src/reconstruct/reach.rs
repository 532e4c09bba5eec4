//! Further than records lead: addresses that only the intrusion uses, sessions opened with what it
//! left, jobs that name its files.
//!
//! Each of these is a conclusion, graded as such, and made only from an intrusion that is certain
//! enough to be one: a common address between two weak findings joins nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use saigen_schemas::report::Grade;

use crate::graph::{Edge, NodeId, Verb};
use crate::reconstruct::activity::{Boundary, names_path, top_of};
use crate::reconstruct::knowledge::Role;
use crate::reconstruct::malice::{Ground, Made, Remote, Taken as TakenOver, Why};
use crate::reconstruct::notes::Reason;
use crate::reconstruct::requests::{Request, Requests};
use crate::reconstruct::spread::{Spread, is_elsewhere};
use crate::reconstruct::world::{Station, World};

/// An address that this many benign programs of different activities reach is everyone's.
const SHARED_BY_MAX: usize = 1;

/// The most children of hubs that are looked at for sessions and jobs.
const CHILDREN_MAX: usize = 1_000_000;

/// A child of a hub, with what is asked of it.
pub(super) struct HubChild {
    pub(super) process: NodeId,
    pub(super) hub: NodeId,
    pub(super) station: Station,
    pub(super) start_us: i64,
}

/// Every process that hangs directly below a hub, in order of time.
pub(super) fn hub_children(world: &World<'_>) -> Vec<HubChild> {
    let mut children: Vec<HubChild> = Vec::new();
    for id in world.graph.nodes() {
        let Some(hub) = world.cause(id) else { continue };
        let station = world.station(hub);
        if !station.is_hub() || world.is_worker(id) {
            continue;
        }
        let start_us = world
            .process(id)
            .map_or(i64::MAX, |process| process.start_us);
        children.push(HubChild {
            process: id,
            hub,
            station,
            start_us,
        });
        if children.len() >= CHILDREN_MAX {
            break;
        }
    }
    children.sort_by_key(|child| (child.start_us, child.process));
    children
}

impl Spread<'_, '_> {
    /// Goes on along records and conclusions until neither adds anything.
    pub(super) fn run_far(
        &mut self,
        world: &World<'_>,
        requests: &Requests,
        children: &[HubChild],
    ) {
        loop {
            self.run();
            let before = self.malice.processes.len();
            self.note_requests(world, requests);
            self.served(world, requests, children);
            self.opened(world, requests, children);
            self.named(world, children);
            self.reached(world);
            self.run();
            if self.malice.processes.len() == before {
                return;
            }
        }
    }

    /// Finds the request behind each root below a server, and with it who asked.
    pub(super) fn note_requests(&mut self, world: &World<'_>, requests: &Requests) {
        let mut found: Vec<(NodeId, Request)> = Vec::new();
        let mut unseen: Vec<(NodeId, i64)> = Vec::new();
        for &process in self.malice.processes.keys() {
            if self.malice.requests.contains_key(&process) {
                continue;
            }
            let Some(hub) = world
                .cause(process)
                .filter(|hub| world.station(*hub).is_hub())
            else {
                continue;
            };
            let malicious = self.malice.processes.contains_key(&hub);
            let Some(start) = world.process(process).map(|process| process.start_us) else {
                continue;
            };
            if malicious || !matches!(world.station(hub), Station::Service | Station::Login) {
                continue;
            }
            match requests.behind_process(world, hub, process) {
                Some(request) => found.push((process, request)),
                None => unseen.push((hub, start)),
            }
        }
        for (hub, start) in unseen {
            if world.station(hub) == Station::Service {
                let head = world.head_of_workers(hub);
                self.compromise(
                    head,
                    start,
                    TakenOver::UnseenRequest,
                    Grade::Inferred,
                    Vec::new(),
                );
                self.compromise(
                    hub,
                    start,
                    TakenOver::UnseenRequest,
                    Grade::Inferred,
                    Vec::new(),
                );
            }
        }
        for (process, request) in found {
            self.take_request(world, requests, process, request);
        }
    }

    fn take_request(
        &mut self,
        world: &World<'_>,
        requests: &Requests,
        process: NodeId,
        request: Request,
    ) {
        self.malice.requests.insert(process, request);
        let grade = if request.alone {
            Grade::Proven
        } else {
            Grade::Inferred
        };
        let hub = world.cause(process);
        let server = hub.is_some_and(|hub| world.station(hub) == Station::Service);
        if server && let Some(worker) = hub {
            let how = TakenOver::Request(request);
            self.compromise(request.server, request.us, how, grade, vec![request.seen]);
            if worker != request.server {
                self.compromise(worker, request.us, how, grade, vec![request.seen]);
            }
        }
        let client = request.client();
        if is_elsewhere(client) && !requests.is_everyone(&request) && !world.is_own_address(client)
        {
            let remote = Remote {
                process,
                us: request.us,
                event: request.seen,
            };
            let known = self.malice.remotes.entry(client).or_insert(remote);
            if (remote.us, remote.process) < (known.us, known.process) {
                *known = remote;
            }
        }
    }

    /// What servers started while they served an address of the intrusion.
    fn served(&mut self, world: &World<'_>, requests: &Requests, children: &[HubChild]) {
        for child in children
            .iter()
            .filter(|child| child.station == Station::Service)
        {
            if self.malice.processes.contains_key(&child.process)
                || self.malice.processes.contains_key(&child.hub)
            {
                continue;
            }
            let Some(request) = requests.behind_process(world, child.hub, child.process) else {
                continue;
            };
            let Some(remote) = self.intruders_address(world, requests, &request) else {
                continue;
            };
            let why = Why::new(
                Ground::Served,
                Some(remote.process),
                Grade::Inferred,
                request
                    .records()
                    .into_iter()
                    .chain([remote.event])
                    .collect(),
            )
            .at(request.client());
            self.add(child.process, why);
        }
    }

    fn intruders_address(
        &self,
        world: &World<'_>,
        requests: &Requests,
        request: &Request,
    ) -> Option<Remote> {
        let client = request.client();
        let remote = self.malice.remotes.get(&client)?;
        let own = is_elsewhere(client) && !world.is_own_address(client);
        (own && !requests.is_everyone(request)).then_some(*remote)
    }

    /// Sessions opened from an address of the intrusion, or with what it changed.
    fn opened(&mut self, world: &World<'_>, requests: &Requests, children: &[HubChild]) {
        for child in children
            .iter()
            .filter(|child| child.station == Station::Login)
        {
            if self.malice.processes.contains_key(&child.process)
                || self.malice.processes.contains_key(&child.hub)
            {
                continue;
            }
            let request = requests.behind_process(world, child.hub, child.process);
            let by_address = request.and_then(|request| {
                let remote = self.intruders_address(world, requests, &request)?;
                let events = request
                    .records()
                    .into_iter()
                    .chain([remote.event])
                    .collect();
                Some(
                    Why::new(
                        Ground::SameAddress,
                        Some(remote.process),
                        Grade::Inferred,
                        events,
                    )
                    .at(request.client()),
                )
            });
            let why = by_address
                .or_else(|| self.opened_by_key(world, requests, children, child, request.as_ref()));
            if let Some(why) = why {
                self.add(child.process, why);
            }
        }
    }

    /// A login of an account whose keys the intrusion had changed, from where that account's own
    /// logins had not come before.
    fn opened_by_key(
        &self,
        world: &World<'_>,
        requests: &Requests,
        children: &[HubChild],
        child: &HubChild,
        request: Option<&Request>,
    ) -> Option<Why> {
        let session = world.process(child.process)?;
        let (thing, taint) =
            self.malice.taints.iter().find(|(thing, taint)| {
                taint.us < child.start_us && world.lets_in(**thing, &session)
            })?;
        let usual = children.iter().any(|other| {
            other.station == Station::Login
                && other.start_us < taint.us
                && world.process(other.process).is_some_and(|process| {
                    process.host == session.host && process.uid == session.uid
                })
                && same_client(
                    requests
                        .behind_process(world, other.hub, other.process)
                        .as_ref(),
                    request,
                )
        });
        if usual {
            return None;
        }
        let mut events = vec![taint.event];
        events.extend(request.into_iter().flat_map(Request::records));
        events.extend(session.start_ref);
        let why = Why::new(Ground::Opened, Some(taint.writer), Grade::Inferred, events).by(*thing);
        Some(match request {
            Some(request) => why.at(request.client()),
            None => why,
        })
    }

    /// Jobs of a scheduler, and services, whose command names a file of the intrusion.
    fn named(&mut self, world: &World<'_>, children: &[HubChild]) {
        let mut files: Vec<(String, NodeId)> = Vec::new();
        for (&thing, taint) in &self.malice.taints {
            if taint.made == Made::New {
                files.extend(world.paths(thing).into_iter().map(|path| (path, thing)));
            }
        }
        for child in children {
            let linked = self
                .malice
                .processes
                .get(&child.process)
                .is_some_and(|why| !why.is_finding());
            if !matches!(
                child.station,
                Station::Scheduler | Station::Init | Station::Broker
            ) || linked
                || self.malice.processes.contains_key(&child.hub)
            {
                continue;
            }
            let Some(told) = world.told(child.process) else {
                continue;
            };
            let named = files.iter().find(|(path, thing)| {
                let early = self
                    .malice
                    .taints
                    .get(thing)
                    .is_some_and(|taint| taint.us <= child.start_us);
                early && names_path(&told, path)
            });
            let Some((_, thing)) = named else { continue };
            let Some(taint) = self.malice.taints.get(thing).copied() else {
                continue;
            };
            let mut events = vec![taint.event];
            events.extend(
                world
                    .process(child.process)
                    .and_then(|process| process.start_ref),
            );
            let why =
                Why::new(Ground::Named, Some(taint.writer), Grade::Inferred, events).by(*thing);
            self.add(child.process, why);
        }
    }

    /// Processes that reached an address which nobody but the intrusion reaches.
    fn reached(&mut self, world: &World<'_>) {
        let remotes: Vec<(IpAddr, Remote)> = self
            .malice
            .remotes
            .iter()
            .map(|(ip, remote)| (*ip, *remote))
            .collect();
        for (ip, remote) in remotes {
            let mut others: Vec<Edge> = Vec::new();
            for &place in world.places_of(ip) {
                others.extend(world.incoming(place).filter(|edge| {
                    edge.verb == Verb::Connected && !self.malice.processes.contains_key(&edge.from)
                }));
            }
            others.retain(|edge| !world.station(edge.from).is_hub());
            others.sort_by_key(|edge| (edge.first_us, edge.id));
            let since_us = world.even_us(remote.process, remote.us);
            let before = |edge: &Edge| world.even_us(edge.from, edge.first_us) < since_us;
            let early = others.iter().any(before);
            let mut tops: BTreeSet<NodeId> = BTreeSet::new();
            tops.extend(others.iter().map(|edge| top_of(world, edge.from).root));
            if early || tops.len() > SHARED_BY_MAX {
                let place = world.places_of(ip).first().copied();
                if let Some(place) = place {
                    self.notes
                        .add(Reason::SharedAddress, place, &[remote.event]);
                }
                continue;
            }
            for edge in others {
                if world
                    .roles(edge.from)
                    .any(&[Role::BulkReader, Role::PackageManager])
                {
                    self.notes.add(Reason::Updater, edge.from, &[edge.first]);
                    continue;
                }
                let events = vec![edge.first, remote.event];
                let why = Why::new(
                    Ground::Reached,
                    Some(remote.process),
                    Grade::Inferred,
                    events,
                )
                .at(ip);
                self.add_with_teller(edge.from, why);
            }
        }
    }
}

fn same_client(one: Option<&Request>, other: Option<&Request>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.client() == other.client(),
        // Without addresses, the account's habit of logging in is all that is known.
        (None, _) | (_, None) => true,
    }
}

/// The children of hubs that stayed out, for the notes.
pub(super) fn note_siblings(spread: &mut Spread<'_, '_>, world: &World<'_>, children: &[HubChild]) {
    let mut hubs: BTreeSet<NodeId> = BTreeSet::new();
    for &process in spread.malice.processes.keys() {
        if let Boundary::Hub(hub, _) = top_of(world, process).boundary {
            hubs.insert(world.head_of_workers(hub));
        }
    }
    for child in children {
        let outside = !spread.malice.processes.contains_key(&child.process);
        if outside && hubs.contains(&world.head_of_workers(child.hub)) {
            let reason = if child.station == Station::Service {
                Reason::OtherRequest
            } else {
                Reason::HubSibling
            };
            let seen = world
                .process(child.process)
                .and_then(|process| process.start_ref);
            spread.notes.add(
                reason,
                child.process,
                &seen.map_or_else(Vec::new, |seen| vec![seen]),
            );
        }
    }
}
