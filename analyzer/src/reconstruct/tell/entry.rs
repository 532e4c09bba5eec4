//! The entry: how an incident began, as far as the evidence shows, and not a step further.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Grade, Moment, Sentence};

use crate::graph::NodeId;
use crate::reconstruct::backward::{End, EndKind, Trace, trace};
use crate::reconstruct::groups::Group;
use crate::reconstruct::malice::Ground;
use crate::reconstruct::notes::Notes;
use crate::reconstruct::requests::Requests;
use crate::reconstruct::tell::cast::{Cast, cited, endpoint};
use crate::reconstruct::tell::words;
use crate::reconstruct::world::World;

/// The most sentences about the entry. The first is the beginning; later ones are further doors.
const ENTRIES_MAX: usize = 6;

/// The most records that a sentence cites.
const EVENTS_MAX: usize = 5;

/// A connection that was taken longer before than this may not be the one that was served.
const SPAN_MAX_US: i64 = 5_000_000;

/// What led to an incident.
pub(in crate::reconstruct) struct Beginnings {
    /// The ends of the searches from all roots, by time.
    pub(super) ends: Vec<(NodeId, End)>,
    /// The benign processes on the way, each with the one below it.
    pub(super) carriers: BTreeMap<NodeId, NodeId>,
}

/// Searches backward from every root of a group: from its processes whose creator is not one.
pub(in crate::reconstruct) fn beginnings(
    world: &World<'_>,
    requests: &Requests,
    group: &Group,
    notes: &mut Notes,
) -> Beginnings {
    let malice = &group.malice;
    let mut ends: Vec<(NodeId, End)> = Vec::new();
    let mut carriers: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for &root in malice.processes.keys() {
        if world
            .cause(root)
            .is_some_and(|cause| malice.processes.contains_key(&cause))
        {
            continue;
        }
        let Trace {
            ends: found,
            carriers: between,
        } = trace(world, requests, malice, root, notes);
        ends.extend(found.into_iter().map(|end| (root, end)));
        for (carrier, below) in between {
            carriers.entry(carrier).or_insert(below);
        }
    }
    ends.sort_by_cached_key(|(root, end)| {
        let us = world.even_us(end.process, end.us);
        (us, end.kind, *root, end.below, end.file)
    });
    Beginnings { ends, carriers }
}

impl Beginnings {
    /// The servers that wrote, for a request, what the intrusion then ran. They did what they are
    /// made for, and stay carriers for that.
    pub(super) fn uploaders(&self) -> BTreeSet<NodeId> {
        let wrote = self
            .ends
            .iter()
            .filter(|(_, end)| end.kind == EndKind::Request && end.file.is_some());
        wrote.map(|(_, end)| end.process).collect()
    }
}

/// The sentences about the entry. Roots that follow from the intrusion itself (a job that it left,
/// a session with its key) are no entry; of one root the most promising end counts.
pub(super) fn entry(
    cast: &Cast<'_, '_>,
    requests: &Requests,
    group: &Group,
    beginnings: &Beginnings,
) -> Vec<Sentence> {
    let mut told: BTreeSet<(EndKind, NodeId, String, Option<NodeId>)> = BTreeSet::new();
    let mut sentences: Vec<Sentence> = Vec::new();
    for (_, end) in first_ends(cast.world, group, beginnings) {
        let who = end
            .request
            .map_or_else(String::new, |request| request.client().to_string());
        let head = cast.world.head_of_workers(end.process);
        if told.insert((end.kind, head, who, end.file)) && sentences.len() < ENTRIES_MAX {
            sentences.push(sentence(cast, requests, end));
        }
    }
    if sentences.is_empty() {
        sentences.push(Sentence {
            text: "The entry is not observable: nothing in the evidence stands before the first malicious process.".to_owned(),
            grade: Grade::Gap,
            evidence: Vec::new(),
        });
    }
    sentences
}

/// For each root that nothing within the intrusion explains, where it came from.
pub(super) fn first_ends<'b>(
    world: &World<'_>,
    group: &Group,
    beginnings: &'b Beginnings,
) -> Vec<(NodeId, &'b End)> {
    let mut by_root: BTreeMap<NodeId, Vec<&'b End>> = BTreeMap::new();
    for (root, end) in &beginnings.ends {
        by_root.entry(*root).or_default().push(end);
    }
    let mut first: Vec<(NodeId, &'b End)> = Vec::new();
    for (root, ends) in by_root {
        let explained = group.malice.processes.get(&root).is_some_and(|why| {
            matches!(
                why.ground,
                Ground::Ran
                    | Ground::Left
                    | Ground::Named
                    | Ground::Opened
                    | Ground::SameAddress
                    | Ground::Crossed
                    | Ground::Injected
                    | Ground::Reached
            )
        });
        if explained || ends.iter().any(|end| end.kind == EndKind::Inside) {
            continue;
        }
        let best = ends.iter().min_by(|a, b| {
            (class(a.kind))
                .cmp(&class(b.kind))
                .then_with(|| a.file.is_some().cmp(&b.file.is_some()))
                .then_with(|| b.priority.total_cmp(&a.priority))
                .then_with(|| (a.us, a.process).cmp(&(b.us, b.process)))
        });
        let uploads = ends
            .iter()
            .filter(|end| end.kind == EndKind::Request && end.file.is_some());
        let mut chosen: Vec<&'b End> = best.into_iter().chain(uploads).copied().collect();
        chosen.dedup();
        first.extend(chosen.into_iter().map(|end| (root, end)));
    }
    first.sort_by_cached_key(|(root, end)| (world.even_us(end.process, end.us), end.kind, *root));
    first
}

/// What says more of a beginning: an address, a login, a device; then what stood; then nothing.
const fn class(kind: EndKind) -> u8 {
    match kind {
        EndKind::Inside | EndKind::Request | EndKind::Download | EndKind::Removable => 0,
        EndKind::Session | EndKind::Clicked | EndKind::Brokered => 1,
        EndKind::UnseenRequest | EndKind::Job => 2,
        EndKind::FileStood => 3,
        EndKind::Stood | EndKind::Unseen => 4,
    }
}

fn sentence(cast: &Cast<'_, '_>, requests: &Requests, end: &End) -> Sentence {
    let process = cast.name(end.process);
    let below = cast.command(end.below);
    let file = end.file.map(|file| cast.path(file)).unwrap_or_default();
    let (text, grade) = match end.kind {
        EndKind::Request => request(cast, requests, end),
        EndKind::UnseenRequest => (
            format!(
                "{process} answers requests and started {below}; the connection behind that was not recorded: who asked is not observable."
            ),
            Grade::Gap,
        ),
        EndKind::Session => session(cast, end),
        EndKind::Download => {
            let from = match places(cast, end) {
                places if places.is_empty() => "; from where was not recorded with it".to_owned(),
                places => format!(" from {places}"),
            };
            (
                format!("{process} fetched {file}{from}; it was then run as {below}."),
                Grade::Inferred,
            )
        }
        EndKind::Brokered => brokered(cast, end),
        EndKind::Removable => (
            format!("{file} stands on a removable or foreign file system and was run as {below}."),
            Grade::Inferred,
        ),
        EndKind::Clicked => (
            format!("It was started from the desktop, {process}: {below}."),
            Grade::Proven,
        ),
        EndKind::Job => (
            format!(
                "{process} started {below}; who had left that to be run was not recorded: the entry is not observable."
            ),
            Grade::Gap,
        ),
        EndKind::FileStood => (
            format!(
                "{file} was run as {below}; it stood there before the recording shows anyone writing it: how it came is not observable."
            ),
            Grade::Gap,
        ),
        EndKind::Stood => (
            format!(
                "{process} ran before the recording began; how it came to do this is not observable."
            ),
            Grade::Gap,
        ),
        EndKind::Unseen => (
            format!(
                "Who started {process} on {} was not recorded: the entry is not observable.",
                cast.host(end.process)
            ),
            Grade::Gap,
        ),
        EndKind::Inside => (String::new(), Grade::Gap),
    };
    Sentence {
        text,
        grade,
        evidence: cited(&end.events, EVENTS_MAX),
    }
}

fn request(cast: &Cast<'_, '_>, requests: &Requests, end: &End) -> (String, Grade) {
    let Some(request) = end.request else {
        return (String::new(), Grade::Gap);
    };
    let (ip, port) = request.asker();
    let who = endpoint(&ip.to_string(), port);
    let server = match request.front {
        None => named_server(cast, request.server, request.local_port),
        Some(front) => format!(
            "{}, which passed the request on to {},",
            named_server(cast, front.server, front.local_port),
            named_server(cast, request.server, request.local_port)
        ),
    };
    let (same, others) = requests.share(&request);
    let did = match end.file {
        Some(file) => format!(
            "wrote {} and with it what was run as {}",
            cast.path(file),
            cast.command(end.below)
        ),
        None => format!("started {}", cast.command(end.below)),
    };
    let grade = if request.alone {
        Grade::Proven
    } else {
        Grade::Inferred
    };
    let ground = match (request.alone, request.before_us <= SPAN_MAX_US) {
        (false, _) if request.front.is_some() => {
            "the last connection that the proxy had taken and still held".to_owned()
        }
        (true, _) => "it served that connection and no other".to_owned(),
        (false, true) => format!(
            "the last connection that it had taken, {} before",
            words::span(request.before_us)
        ),
        (false, false) => "the last connection that it had taken".to_owned(),
    };
    let all = if others > 0 {
        format!(
            " It took {} from that address and {others} from others.",
            words::counted(same as u64, "connection", "connections")
        )
    } else {
        String::new()
    };
    let text = format!(
        "A connection from {who} reached {server} at {}, and the service {did} ({ground}).{all}",
        Moment::from_us(request.front.map_or(request.us, |front| front.us))
    );
    (text, grade)
}

/// A server with its command line and the port at which it was reached.
fn named_server(cast: &Cast<'_, '_>, server: NodeId, port: Option<u16>) -> String {
    let facts = cast.world.process(server);
    let command = facts.and_then(|facts| super::cast::command_line(&facts));
    let command = command.map_or_else(String::new, |line| format!(", {}", words::command(&line)));
    let at = port.map_or_else(String::new, |port| format!(" at port {port}"));
    format!("{}{command}{at}", cast.name(server))
}

fn session(cast: &Cast<'_, '_>, end: &End) -> (String, Grade) {
    let user = cast
        .world
        .process(end.below)
        .and_then(|facts| super::cast::user_of(&facts))
        .unwrap_or_else(|| "an unknown account".to_owned());
    let by = cast.short(end.process);
    match end.request {
        Some(request) => (
            format!(
                "A session of {user} was opened from {} by {by} at {}.",
                endpoint(&request.client().to_string(), request.asker().1),
                Moment::from_us(request.us)
            ),
            if request.alone {
                Grade::Proven
            } else {
                Grade::Inferred
            },
        ),
        None => (
            format!("A session of {user} was opened by {by}; from where was not recorded."),
            Grade::Inferred,
        ),
    }
}

/// What a broker ran in a session, and from where that was opened.
fn brokered(cast: &Cast<'_, '_>, end: &End) -> (String, Grade) {
    let by = cast.name(end.process);
    let below = cast.command(end.below);
    match cast.world.origin_of(end.below) {
        Some(origin) => (
            format!("{by} started {below} in a session that was opened from {origin}."),
            Grade::Inferred,
        ),
        None => (
            format!(
                "{by} started {below} for someone else; who asked was not recorded: the entry is not observable."
            ),
            Grade::Gap,
        ),
    }
}

/// The places that a process reached before it wrote the file.
fn places(cast: &Cast<'_, '_>, end: &End) -> String {
    let world = cast.world;
    let reached = world.outgoing(end.process).filter(|edge| {
        matches!(
            edge.verb,
            crate::graph::Verb::Connected | crate::graph::Verb::Sent
        ) && world.address(edge.to).is_some()
    });
    let mut places: Vec<String> = Vec::new();
    for edge in reached {
        let place = world.label(edge.to);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    words::some_of(&places, 3)
}
