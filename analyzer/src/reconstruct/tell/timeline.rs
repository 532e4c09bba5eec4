//! The timeline: the acts that matter, in order, told in as few sentences as they allow.
//!
//! What one process did in a row is one sentence, and so is what one small request or job made a
//! host do. What happens again and again (a job of every minute) is told once, with how often. The
//! list of steps has everything.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Grade, Moment, Sentence};

use crate::detect::Tactic;
use crate::graph::NodeId;
use crate::reconstruct::activity::told_to_start;
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::{Place, base_name};
use crate::reconstruct::tell::acts::{Act, Deed};
use crate::reconstruct::tell::cast::{Cast, cited, user_of};
use crate::reconstruct::tell::steps::Steps;
use crate::reconstruct::tell::words;
use crate::reconstruct::world::is_creation;

/// The most acts of one sentence.
const CLAUSES_MAX: usize = 6;
/// The most processes of a request or job that is told in one sentence.
const EPISODE_MAX: usize = 12;
/// The most records that a sentence cites.
const EVENTS_MAX: usize = 6;
/// The most sentences.
const SENTENCES_MAX: usize = 80;

/// Tells the acts of an incident in order.
pub(super) fn timeline(
    cast: &Cast<'_, '_>,
    group: &Group,
    acts: &[Act],
    steps: &Steps<'_, '_, '_>,
) -> Vec<Sentence> {
    let mut line = Line {
        cast,
        group,
        steps,
        busy: busy(acts),
        episodes: episodes(cast, group),
        aims: BTreeMap::new(),
    };
    for act in acts {
        if let Some(root) = line.episode(act) {
            line.aims.entry(root).or_default().extend(&act.tactics);
        }
    }
    let chapters = line.chapters(acts);
    let mut told: Vec<Told> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for chapter in &chapters {
        let key = line.key(chapter);
        match known.get(&key).and_then(|&index| told.get_mut(index)) {
            Some(before) => before.again(chapter),
            None => {
                known.insert(key, told.len());
                told.push(line.tell(chapter));
            }
        }
    }
    let more = told.len().saturating_sub(SENTENCES_MAX);
    told.truncate(SENTENCES_MAX);
    let mut sentences: Vec<Sentence> = told.into_iter().map(Told::sentence).collect();
    if more > 0 {
        sentences.push(Sentence {
            text: format!("{more} more stand in the list of steps."),
            grade: Grade::Proven,
            evidence: acts
                .last()
                .map(|act| cited(&act.events, 1))
                .unwrap_or_default(),
        });
    }
    sentences
}

/// Processes that have a telling act of their own besides starting others.
fn busy(acts: &[Act]) -> BTreeSet<NodeId> {
    let telling = acts.iter().filter(|act| {
        act.deed != Deed::Starts && (act.deed != Deed::Reads || !act.tactics.is_empty())
    });
    telling.map(|act| act.actor).collect()
}

/// The processes of small requests and jobs, each with the root of its own: what one process
/// without a malicious creator led to.
fn episodes(cast: &Cast<'_, '_>, group: &Group) -> BTreeMap<NodeId, NodeId> {
    let own = &group.malice.processes;
    let mut roots: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut sizes: BTreeMap<NodeId, usize> = BTreeMap::new();
    for &process in own.keys() {
        let mut seen = BTreeSet::from([process]);
        let mut root = process;
        while let Some(cause) = cast.world.cause(root) {
            if !own.contains_key(&cause) || !seen.insert(cause) {
                break;
            }
            root = cause;
        }
        roots.insert(process, root);
        *sizes.entry(root).or_default() += 1;
    }
    roots.retain(|_, root| sizes.get(root).is_some_and(|&size| size <= EPISODE_MAX));
    roots
}

/// Whether an act continues a sentence: the same actor, and for programs that it starts the same
/// aim.
fn fits(chapter: &[&Act], act: &Act) -> bool {
    let Some(last) = chapter.last() else {
        return false;
    };
    let same_aim = last.tactics.first() == act.tactics.first()
        || act.deed != Deed::Starts && last.deed != Deed::Starts;
    last.actor == act.actor && same_aim && chapter.len() < CLAUSES_MAX
}

struct Line<'a, 'w, 'g> {
    cast: &'a Cast<'w, 'g>,
    group: &'a Group,
    steps: &'a Steps<'a, 'w, 'g>,
    busy: BTreeSet<NodeId>,
    episodes: BTreeMap<NodeId, NodeId>,
    /// What each small request or job was good for, over all its acts.
    aims: BTreeMap<NodeId, BTreeSet<Tactic>>,
}

struct Told {
    first_us: i64,
    last_us: i64,
    aim: String,
    text: String,
    again: u64,
    grade: Grade,
    events: Vec<crate::reference::EventRef>,
}

impl Told {
    fn again(&mut self, chapter: &[&Act]) {
        self.again += 1;
        self.last_us = self.last_us.max(
            chapter
                .iter()
                .map(|act| act.us)
                .max()
                .unwrap_or(self.last_us),
        );
        self.events
            .extend(chapter.iter().filter_map(|act| act.events.first()));
    }

    fn sentence(self) -> Sentence {
        let again = if self.again > 0 {
            format!(
                "; the same happened {} until {}",
                words::counted(self.again, "more time", "more times"),
                Moment::from_us(self.last_us)
            )
        } else {
            String::new()
        };
        Sentence {
            text: format!(
                "{}{}: {}{again}.",
                Moment::from_us(self.first_us),
                self.aim,
                self.text
            ),
            grade: self.grade,
            evidence: cited(&self.events, EVENTS_MAX),
        }
    }
}

impl<'a> Line<'a, '_, '_> {
    /// The acts that matter, by sentence.
    fn chapters(&self, acts: &'a [Act]) -> Vec<Vec<&'a Act>> {
        let mut chapters: Vec<Vec<&Act>> = Vec::new();
        let mut begun: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut open: Option<usize> = None;
        for act in acts.iter().filter(|act| self.is_telling(act)) {
            let at = match self.episode(act) {
                Some(root) => *begun.entry(root).or_insert(chapters.len()),
                None => {
                    let last =
                        open.filter(|&last| chapters.get(last).is_some_and(|last| fits(last, act)));
                    last.unwrap_or(chapters.len())
                }
            };
            open = self.episode(act).is_none().then_some(at);
            match chapters.get_mut(at) {
                Some(chapter) => chapter.push(act),
                None => chapters.push(vec![act]),
            }
        }
        chapters
    }

    /// The root of the small request or job that an act belongs to.
    fn episode(&self, act: &Act) -> Option<NodeId> {
        let started = Some(act.object).filter(|_| act.deed == Deed::Starts);
        let process = started
            .filter(|object| self.episodes.get(object) == Some(object))
            .unwrap_or(act.actor);
        self.episodes.get(&process).copied()
    }

    /// The timeline leaves out what only carries: wrappers, programs whose own acts are told, and
    /// files that nothing follows from.
    fn is_telling(&self, act: &Act) -> bool {
        let aimed = !act.tactics.is_empty();
        match act.deed {
            Deed::Starts => self.is_telling_start(act),
            Deed::Writes
            | Deed::Renames
            | Deed::Links
            | Deed::ChangesAttributes
            | Deed::Deletes => aimed || self.is_used(act.object),
            Deed::Reads => aimed,
            Deed::Connects
            | Deed::Accepts
            | Deed::Listens
            | Deed::Touches
            | Deed::Configures
            | Deed::ChangesSystem => true,
            // Whose rights a process has stands with its start.
            Deed::Switches | Deed::Tries => !act.detections.is_empty() && !self.gained(act.actor),
            Deed::Resolves => false,
        }
    }

    fn is_telling_start(&self, act: &Act) -> bool {
        let tied = self
            .group
            .malice
            .processes
            .get(&act.object)
            .is_some_and(|why| why.is_link());
        if tied || self.group.malice.requests.contains_key(&act.object) || act.actor == act.object {
            return true;
        }
        let world = self.cast.world;
        let parent = world
            .outgoing(act.object)
            .any(|edge| is_creation(edge.verb));
        let told = !act.tactics.is_empty();
        // A program without children whose own acts are told needs no word of its own.
        told && (parent || !self.busy.contains(&act.object)) && !self.only_carries(act)
    }

    /// Whether a process has other rights than the one that started it.
    fn gained(&self, process: NodeId) -> bool {
        let user = |id: NodeId| {
            self.cast
                .world
                .process(id)
                .and_then(|facts| user_of(&facts))
        };
        let before = self.cast.world.cause(process).and_then(user);
        before != user(process)
    }

    /// A shell that was told to start one program, which is told itself.
    fn only_carries(&self, act: &Act) -> bool {
        let world = self.cast.world;
        let plain = act.detections.is_empty()
            && act
                .tactics
                .iter()
                .all(|tactic| *tactic == Tactic::Execution);
        let said = told_to_start(world, act.actor, act.object);
        if self.episodes.contains_key(&act.object) {
            return said && self.group.malice.processes.contains_key(&act.actor);
        }
        plain
            && world.told(act.object).is_some()
            && self.group.malice.processes.contains_key(&act.actor)
    }

    /// Whether something follows from a file: it is run, packed, or stands where things start.
    fn is_used(&self, file: NodeId) -> bool {
        let world = self.cast.world;
        let links = self
            .group
            .malice
            .processes
            .values()
            .any(|why| why.by == Some(file));
        let runs = || {
            world.outgoing(file).any(|edge| {
                edge.verb == crate::graph::Verb::Executed || world.is_script_of(file, edge.to)
            })
        };
        links || world.knowledge.is(Place::Archive, &world.label(file)) || runs()
    }

    /// What makes two chapters the same: programs, accounts and things, not pids and times.
    fn key(&self, chapter: &[&Act]) -> String {
        let mut key = String::new();
        for act in chapter {
            let facts = self.cast.world.process(act.actor);
            let image = facts
                .and_then(|facts| facts.image)
                .map(|image| image.lossy().into_owned())
                .unwrap_or_default();
            let user = facts.and_then(|facts| user_of(&facts)).unwrap_or_default();
            let thing = if act.deed == Deed::Starts {
                self.cast.command(act.object)
            } else {
                self.cast.path(act.object)
            };
            key.push_str(&format!(
                "{} {user} {} {thing}\n",
                base_name(&image),
                act.deed.word()
            ));
        }
        key
    }

    fn tell(&self, chapter: &[&Act]) -> Told {
        let starts = chapter.iter().all(|act| act.deed == Deed::Starts) && chapter.len() > 1;
        let actor = chapter
            .first()
            .map_or_else(String::new, |act| self.cast.name(act.actor));
        let clauses: Vec<String> = if starts && self.episode_of(chapter).is_none() {
            vec![format!("started {}", words::list(&self.commands(chapter)))]
        } else {
            self.clauses(chapter)
        };
        let aims = self
            .episode_of(chapter)
            .and_then(|root| self.aims.get(&root));
        let tactics = chapter.iter().flat_map(|act| &act.tactics);
        let tactic = tactics
            .chain(aims.into_iter().flatten())
            .min_by_key(|tactic| telling_rank(**tactic));
        let grade = self.grade(chapter);
        let first_us = chapter.iter().map(|act| act.us).min().unwrap_or(0);
        Told {
            first_us,
            last_us: first_us,
            aim: tactic.map_or_else(String::new, |tactic| {
                format!(" ({})", tactic.name().replace('-', " "))
            }),
            text: format!("{actor} {}", clauses.join("; ")),
            again: 0,
            grade,
            events: chapter
                .iter()
                .filter_map(|act| act.events.first().copied())
                .collect(),
        }
    }

    fn episode_of(&self, chapter: &[&Act]) -> Option<NodeId> {
        chapter.first().and_then(|act| self.episode(act))
    }

    /// What was done, each with its actor where that is not the first one.
    fn clauses(&self, chapter: &[&Act]) -> Vec<String> {
        let first = chapter.first().map(|act| act.actor);
        let mut clauses: Vec<String> = Vec::new();
        for act in chapter {
            let what = format!("{}{}", self.steps.predicate(act), self.steps.tie(act));
            if Some(act.actor) == first {
                clauses.push(what);
            } else {
                clauses.push(format!("{} {what}", self.cast.name(act.actor)));
            }
        }
        let more = clauses.len().saturating_sub(EPISODE_MAX);
        clauses.truncate(EPISODE_MAX);
        if more > 0 {
            clauses.push(words::counted(more as u64, "more step", "more steps"));
        }
        clauses
    }

    fn commands(&self, chapter: &[&Act]) -> Vec<String> {
        chapter
            .iter()
            .map(|act| format!("{}{}", self.cast.command(act.object), self.steps.tie(act)))
            .collect()
    }

    fn grade(&self, chapter: &[&Act]) -> Grade {
        let acts: Vec<Act> = chapter.iter().map(|act| (*act).clone()).collect();
        let steps = self.steps.tell(&acts);
        steps
            .iter()
            .map(|step| step.grade)
            .max()
            .unwrap_or(Grade::Proven)
    }
}

/// Which of several aims is named: what it was good for before how it was done.
const fn telling_rank(tactic: Tactic) -> u8 {
    match tactic {
        Tactic::Impact => 0,
        Tactic::Exfiltration => 1,
        Tactic::CredentialAccess => 2,
        Tactic::LateralMovement => 3,
        Tactic::Persistence => 4,
        Tactic::DefenseImpairment | Tactic::Stealth => 5,
        Tactic::Collection => 6,
        Tactic::PrivilegeEscalation => 7,
        Tactic::InitialAccess => 8,
        Tactic::CommandAndControl => 9,
        Tactic::Discovery => 10,
        Tactic::Execution => 11,
        Tactic::Reconnaissance => 12,
        Tactic::ResourceDevelopment => 13,
    }
}
