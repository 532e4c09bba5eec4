//! The story: an incident in sections of plain sentences, each with its records and its grade.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{
    Direction, Gap, Grade, Moment, NetworkItem, PersistenceItem, Pruned, Role as Part, Sentence,
    Story,
};

use crate::detect::Tactic;
use crate::graph::NodeId;
use crate::reconstruct::groups::Group;
use crate::reconstruct::knowledge::{Place, Role};
use crate::reconstruct::tell::acts::{Act, Deed};
use crate::reconstruct::tell::cast::{Cast, cited, user_of};
use crate::reconstruct::tell::steps::Steps;
use crate::reconstruct::tell::timeline;
use crate::reconstruct::tell::words;

/// The most records that a sentence cites.
const EVENTS_MAX: usize = 5;
/// The most sentences of one section.
const SENTENCES_MAX: usize = 40;
/// The most things that one sentence lists.
const LISTED_MAX: usize = 6;

/// What the story is told from.
pub(super) struct Teller<'a, 'w, 'g> {
    pub(super) cast: &'a Cast<'w, 'g>,
    pub(super) group: &'a Group,
    pub(super) acts: &'a [Act],
    pub(super) steps: &'a Steps<'a, 'w, 'g>,
    pub(super) entry: &'a [Sentence],
    pub(super) network: &'a [NetworkItem],
    pub(super) persistence: &'a [PersistenceItem],
    pub(super) gaps: &'a [Gap],
    pub(super) pruned: &'a [Pruned],
}

impl Teller<'_, '_, '_> {
    /// All sections.
    pub(super) fn story(&self) -> Story {
        let mut story = Story {
            root_cause: self.entry.to_vec(),
            timeline: timeline::timeline(self.cast, self.group, self.acts, self.steps),
            hosts_and_accounts: self.hosts_and_accounts(),
            tools: self.tools(),
            communication_in: self.communication(&[Direction::In, Direction::Listening]),
            communication_out: self.communication(&[Direction::Out]),
            persistence: self.footholds(),
            damage: self.damage(),
            pruned: self.pruned.iter().map(left_out).collect(),
            unknown: self.unknown(),
        };
        for section in [
            &mut story.tools,
            &mut story.communication_out,
            &mut story.damage,
        ] {
            shorten(section);
        }
        story
    }

    fn hosts_and_accounts(&self) -> Vec<Sentence> {
        let mut rows: BTreeMap<(String, String), (u64, i64, NodeId)> = BTreeMap::new();
        for (process, _) in self
            .cast
            .rows()
            .iter()
            .filter(|(_, part)| *part == Part::Malicious)
        {
            let Some(facts) = self.cast.world.process(*process) else {
                continue;
            };
            let user = user_of(&facts).unwrap_or_else(|| "an unknown account".to_owned());
            let row = rows.entry((self.cast.host(*process), user)).or_insert((
                0,
                facts.start_us,
                *process,
            ));
            row.0 += 1;
            if facts.start_us < row.1 {
                (row.1, row.2) = (facts.start_us, *process);
            }
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_cached_key(|(who, (_, us, process))| {
            (self.cast.world.even_us(*process, *us), who.clone())
        });
        let sentence =
            |((host, user), (count, us, process)): ((String, String), (u64, i64, NodeId))| {
                let events: Vec<_> = self
                    .cast
                    .world
                    .process(process)
                    .and_then(|facts| facts.start_ref)
                    .into_iter()
                    .collect();
                Sentence {
                    text: format!(
                        "On {host}, {} of the intrusion ran as {user}, the first at {}.",
                        words::counted(count, "process", "processes"),
                        Moment::from_us(us)
                    ),
                    grade: Grade::Proven,
                    evidence: cited(&events, EVENTS_MAX),
                }
            };
        rows.into_iter().map(sentence).collect()
    }

    /// What was brought along, and which programs of the system were used.
    fn tools(&self) -> Vec<Sentence> {
        let world = self.cast.world;
        let mut sentences: Vec<Sentence> = Vec::new();
        let mut brought: BTreeSet<NodeId> = BTreeSet::new();
        for (process, why) in &self.group.malice.processes {
            let ran = world
                .incoming(*process)
                .filter(|edge| edge.verb == crate::graph::Verb::Executed);
            for edge in ran.filter(|edge| self.group.malice.taints.contains_key(&edge.from)) {
                if brought.insert(edge.from) {
                    sentences.push(self.brought(edge.from, *process, why.grade, edge.first));
                }
            }
        }
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        for process in self.group.malice.processes.keys() {
            let image = world
                .process(*process)
                .and_then(|facts| facts.image)
                .map(|image| image.lossy().into_owned());
            if let Some(image) = image.filter(|image| world.knowledge.is(Place::Installed, image)) {
                *used
                    .entry(crate::reconstruct::knowledge::base_name(&image).to_owned())
                    .or_default() += 1;
            }
        }
        let mut used: Vec<(String, u64)> = used.into_iter().collect();
        used.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let names: Vec<String> = used
            .into_iter()
            .map(|(name, count)| {
                if count > 1 {
                    format!("{name} ({count} times)")
                } else {
                    name
                }
            })
            .collect();
        if !names.is_empty() {
            sentences.push(Sentence {
                text: format!(
                    "Programs of the system that it used: {}.",
                    words::some_of(&names, 24)
                ),
                grade: Grade::Proven,
                evidence: cited(&self.first_starts(), EVENTS_MAX),
            });
        }
        sentences
    }

    fn first_starts(&self) -> Vec<crate::reference::EventRef> {
        let starts = self
            .cast
            .rows()
            .iter()
            .filter(|(_, part)| *part == Part::Malicious);
        starts
            .filter_map(|(process, _)| self.cast.world.process(*process)?.start_ref)
            .take(EVENTS_MAX)
            .collect()
    }

    fn brought(
        &self,
        file: NodeId,
        process: NodeId,
        grade: Grade,
        seen: crate::reference::EventRef,
    ) -> Sentence {
        let taint = self.group.malice.taints.get(&file);
        let facts = self.cast.world.graph.file(file);
        let hash = facts.and_then(|facts| facts.sha256).or_else(|| {
            self.cast
                .world
                .process(process)
                .and_then(|facts| facts.sha256)
        });
        let hash = hash.map_or_else(String::new, |hash| format!(", SHA-256 {hash}"));
        let writer = taint.map_or_else(String::new, |taint| {
            format!(", written by {}", self.cast.short(taint.writer))
        });
        let others = self.cast.world.paths(file);
        let names = if others.len() > 1 {
            format!(" (also {})", words::some_of(&others[1..], 3))
        } else {
            String::new()
        };
        let mut events: Vec<_> = taint.map(|taint| taint.event).into_iter().collect();
        events.push(seen);
        Sentence {
            text: format!(
                "{}{names}{writer}{hash}, was run as {}.",
                self.cast.path(file),
                self.cast.command(process)
            ),
            grade,
            evidence: cited(&events, EVENTS_MAX),
        }
    }

    fn communication(&self, directions: &[Direction]) -> Vec<Sentence> {
        let items = self
            .network
            .iter()
            .filter(|item| directions.contains(&item.direction));
        items.map(|item| self.connection(item)).collect()
    }

    fn connection(&self, item: &NetworkItem) -> Sentence {
        let who = self
            .cast
            .rows()
            .iter()
            .find(|(process, _)| self.cast.id(*process) == item.process);
        let who = who.map_or_else(
            || item.host.clone(),
            |(process, _)| self.cast.name(*process),
        );
        let other = item
            .remote
            .clone()
            .or_else(|| item.local.clone())
            .unwrap_or_else(|| "an unknown place".to_owned());
        let name = item
            .remote_name
            .as_ref()
            .map_or_else(String::new, |name| format!(" ({name})"));
        let at = item
            .local
            .as_ref()
            .map_or_else(String::new, |local| format!(" at {local}"));
        let times = if item.count > 1 {
            format!(", {} times until {}", item.count, item.last)
        } else {
            String::new()
        };
        let bytes = match (item.sent, item.received) {
            (None, None) => String::new(),
            (sent, received) => format!(
                "; {} went out and {} came in",
                words::size(sent.unwrap_or(0)),
                words::size(received.unwrap_or(0))
            ),
        };
        let text = match item.direction {
            Direction::In => format!(
                "{} took a connection from {other}{at} at {}{times}{bytes}.",
                who, item.first
            ),
            Direction::Listening => format!(
                "{} waited for connections at {other} since {}.",
                who, item.first
            ),
            Direction::Out | Direction::Local => format!(
                "{} connected to {other}{name} at {}{times}{bytes}.",
                who, item.first
            ),
        };
        Sentence {
            text,
            grade: Grade::Proven,
            evidence: item.evidence.clone(),
        }
    }

    fn footholds(&self) -> Vec<Sentence> {
        let sentence = |item: &PersistenceItem| {
            let runs = item.runs.as_ref().map_or_else(String::new, |runs| {
                format!("; it runs {}", words::command(runs))
            });
            let started = if item.started.is_empty() {
                String::new()
            } else {
                format!(
                    "; it has started {} already",
                    words::counted(item.started.len() as u64, "process", "processes")
                )
            };
            Sentence {
                text: format!(
                    "{} at {}: {}{runs}{started}. {}",
                    words::sentence(&item.mechanism.replace('_', " ")),
                    item.time,
                    item.place,
                    item.why
                ),
                grade: item.grade,
                evidence: item.evidence.clone(),
            }
        };
        self.persistence.iter().map(sentence).collect()
    }

    /// Credentials read, data that left, traces removed.
    fn damage(&self) -> Vec<Sentence> {
        let mut sentences: Vec<Sentence> = Vec::new();
        let world = self.cast.world;
        for act in self.acts {
            let has = |tactic: Tactic| act.tactics.contains(&tactic);
            let path = world.label(act.object);
            let changes = matches!(act.deed, Deed::Writes | Deed::Deletes | Deed::Renames);
            let hides = has(Tactic::Stealth) || has(Tactic::DefenseImpairment);
            let text = if has(Tactic::CredentialAccess) {
                if self.is_told_by_itself(act) {
                    continue;
                }
                self.credentials(act, &path)
            } else if act.deed == Deed::Connects && has(Tactic::Exfiltration) {
                self.departure(act, &path)
            } else if changes && hides {
                format!(
                    "Traces: {} {} {path} at {}.",
                    self.cast.name(act.actor),
                    past(act.deed),
                    Moment::from_us(act.us)
                )
            } else if has(Tactic::Impact) {
                format!(
                    "Impact: {} at {}.",
                    self.cast.command(act.object),
                    Moment::from_us(act.us)
                )
            } else {
                continue;
            };
            sentences.push(Sentence {
                text,
                grade: grade_of(act),
                evidence: cited(&act.events, EVENTS_MAX),
            });
        }
        sentences
    }

    /// Whether a start is told by what the program then read.
    fn is_told_by_itself(&self, act: &Act) -> bool {
        act.deed == Deed::Starts
            && self.acts.iter().any(|other| {
                other.actor == act.object
                    && other.deed != Deed::Starts
                    && other.tactics.contains(&Tactic::CredentialAccess)
            })
    }

    fn credentials(&self, act: &Act, path: &str) -> String {
        let (who, when) = (self.cast.name(act.actor), Moment::from_us(act.us));
        let kept = self.cast.world.knowledge.place(Place::Credential, path);
        match (act.deed == Deed::Starts, kept) {
            (true, _) => {
                let command = self.cast.command(act.object);
                format!("Credentials: {who} went for them by {command} at {when}.")
            }
            (false, Some(note)) => {
                let what = note.reason;
                format!(
                    "Credentials: {who} {} {path} ({what}) at {when}.",
                    past(act.deed)
                )
            }
            (false, None) => format!("Credentials: {who} {} {path} at {when}.", past(act.deed)),
        }
    }

    fn departure(&self, act: &Act, path: &str) -> String {
        let sent = act
            .sent
            .map_or_else(|| "an unknown amount".to_owned(), words::size);
        let packed = self.acts.iter().rev().find(|other| {
            other.us <= act.last_us
                && other.deed == Deed::Writes
                && self
                    .cast
                    .world
                    .knowledge
                    .is(Place::Archive, &self.cast.world.label(other.object))
        });
        let packed = packed.map_or_else(String::new, |packed| {
            format!(", after {} was packed", self.cast.path(packed.object))
        });
        format!(
            "Data left: {} sent {sent} to {path} at {}{packed}.",
            self.cast.name(act.actor),
            Moment::from_us(act.us)
        )
    }

    fn unknown(&self) -> Vec<Sentence> {
        let mut sentences: Vec<Sentence> = Vec::new();
        sentences.extend(
            self.entry
                .iter()
                .filter(|sentence| sentence.grade == Grade::Gap)
                .cloned(),
        );
        for gap in self.gaps {
            sentences.push(Sentence {
                text: gap.text.clone(),
                grade: Grade::Gap,
                evidence: gap.evidence.clone(),
            });
        }
        let world = self.cast.world;
        let open = self.group.malice.processes.keys().filter(|process| {
            world
                .process(**process)
                .is_some_and(|facts| facts.end_us.is_none())
        });
        let open: Vec<String> = open.map(|process| self.cast.short(*process)).collect();
        if !open.is_empty() {
            sentences.push(gap_sentence(format!(
                "The end of {} was not recorded: what {} did after the recording is not known.",
                words::some_of(&open, LISTED_MAX),
                if open.len() == 1 { "it" } else { "they" }
            )));
        }
        if !self.group.malice.requests.is_empty() {
            sentences.push(gap_sentence("What the requests said was not recorded: which weakness let them in is concluded from what followed.".to_owned()));
        }
        let unpaired = self
            .acts
            .iter()
            .any(|act| act.deed == Deed::Connects && act.sent.is_none() && act.received.is_none());
        if unpaired {
            sentences.push(gap_sentence(
                "For some connections the amount of data was not recorded.".to_owned(),
            ));
        }
        if self
            .group
            .malice
            .processes
            .keys()
            .any(|process| world.roles(*process).has(Role::Shell))
        {
            sentences.push(gap_sentence("What a shell does by itself (its own commands, redirections, variables) leaves no record but the files and connections that it opened.".to_owned()));
        }
        sentences
    }
}

fn left_out(pruned: &Pruned) -> Sentence {
    Sentence {
        text: pruned.text.clone(),
        grade: Grade::Proven,
        evidence: pruned.evidence.clone(),
    }
}

fn gap_sentence(text: String) -> Sentence {
    Sentence {
        text,
        grade: Grade::Gap,
        evidence: Vec::new(),
    }
}

fn grade_of(act: &Act) -> Grade {
    // That something was done is recorded; that it was a departure of data is concluded.
    if act.tactics.contains(&Tactic::Exfiltration) {
        Grade::Inferred
    } else {
        Grade::Proven
    }
}

/// What was done, in a sentence.
const fn past(deed: Deed) -> &'static str {
    match deed {
        Deed::Starts => "started",
        Deed::Writes => "wrote",
        Deed::Renames => "renamed",
        Deed::Links => "linked",
        Deed::ChangesAttributes => "changed mode or owner of",
        Deed::Deletes => "deleted",
        Deed::Reads => "read",
        Deed::Connects => "connected to",
        Deed::Accepts => "accepted connections from",
        Deed::Listens => "waited for connections at",
        Deed::Resolves => "asked for",
        Deed::Touches => "reached into",
        Deed::Switches => "took on, or tried, the identity",
        Deed::Configures => "configured",
        Deed::ChangesSystem => "changed",
        Deed::Tries => "was refused",
    }
}

/// Keeps a section readable: the list of steps has all.
fn shorten(section: &mut Vec<Sentence>) {
    if section.len() > SENTENCES_MAX {
        let more = section.len() - SENTENCES_MAX;
        let evidence = section
            .get(SENTENCES_MAX)
            .map(|sentence| sentence.evidence.clone())
            .unwrap_or_default();
        section.truncate(SENTENCES_MAX);
        section.push(Sentence {
            text: format!("{more} more stand in the list of steps."),
            grade: Grade::Proven,
            evidence,
        });
    }
}
