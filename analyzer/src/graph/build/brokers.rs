//! Processes that hang below a broker of the system (service manager, scheduler, WMI, remote
//! shell) and were asked for by someone else: joined to what was configured, and to who asked.
//!
//! Logs of one machine are written by several clocks and late, so that what explains a process may stand behind
//! its start. The joins are therefore made when everything is known.
//!
//! | Join | Known by | Ground |
//! |---|---|---|
//! | service, task → process | the command that was configured is the one that runs | scheduled |
//! | process → process | the one's command line holds the other's, or names the service or task that started it | arguments |
//! | process of another host → process | the session of the one was opened from the other's host, while that had a connection there | same session |
//! | process of another host → service | a service that was new then, while there was a connection from there | same flow |
//! | process of another host → remote shell | a connection from there to the remote shell's port | same flow |

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::query::Crossing;
use crate::graph::{Ground, NodeId, PersistenceKind, Verb};
use crate::reference::EventRef;
use crate::replay::{HostId, ProcessFacts, Replay, UnitId};

/// Programs below which hangs what others asked for.
const BROKERS: [&str; 12] = [
    "services.exe",
    "svchost.exe",
    "wmiprvse.exe",
    "wsmprovhost.exe",
    "winrshost.exe",
    "taskeng.exe",
    "taskhost.exe",
    "taskhostw.exe",
    "psexesvc.exe",
    "dllhost.exe",
    "scrcons.exe",
    "wininit.exe",
];

/// Programs that ask brokers with words that are theirs.
const ASKERS: [&str; 18] = [
    "sc.exe",
    "schtasks.exe",
    "at.exe",
    "wmic.exe",
    "powershell.exe",
    "pwsh.exe",
    "cmd.exe",
    "psexec.exe",
    "psexec64.exe",
    "winrs.exe",
    "bitsadmin.exe",
    "reg.exe",
    "net.exe",
    "net1.exe",
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "rundll32.exe",
];

/// A process that asks another host has a connection there at most this long before the other starts.
const ASKED_WITHIN_US: i64 = 60_000_000;

/// Where a remote shell's host waits for connections.
const REMOTE_SHELL_PORTS: [u16; 2] = [5985, 5986];

/// Records of one host may stand this far behind what they tell.
const LATE_US: i64 = 10_000_000;

/// A job runs at most this long after its command was left.
const LEFT_WITHIN_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// The shortest text that is told again from another command.
const TELLING: usize = 8;

/// Most pairs of command lines that are compared.
const PAIRS_MAX: usize = 4_000_000;

/// What is known of the ways between hosts.
#[derive(Default)]
pub(super) struct Ways {
    /// Flows seen from both ends.
    pub(super) crossings: Vec<Crossing>,
    /// The host of an address; `None` where several hosts call it theirs.
    pub(super) own: BTreeMap<IpAddr, Option<HostId>>,
}

impl Ways {
    /// Notes that an address is a host's own.
    pub(super) fn note_own(&mut self, ip: IpAddr, host: HostId) {
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
            return;
        }
        let known = self.own.entry(ip).or_insert(Some(host));
        if *known != Some(host) {
            *known = None;
        }
    }
}

/// A process below a broker.
struct Asked {
    node: NodeId,
    host: HostId,
    start_us: i64,
    event: EventRef,
    broker: String,
    /// Its command line as it is compared.
    line: String,
    image: String,
    session: Option<NodeId>,
}

/// A process that may have asked.
struct Asker {
    node: NodeId,
    host: HostId,
    start_us: i64,
    event: EventRef,
    line: String,
}

/// What was configured to run.
struct Left {
    node: NodeId,
    host: HostId,
    kind: PersistenceKind,
    name: String,
    command: Option<String>,
    /// When it was configured, the first time.
    us: Option<i64>,
}

impl GraphBuilder {
    /// Joins what hangs below brokers to its cause.
    pub(super) fn join_brokers(&mut self, replay: &Replay) {
        let (asked, askers) = self.around_brokers(replay);
        if asked.is_empty() {
            return;
        }
        let left = self.left_to_run();
        let mut pairs = 0;
        for one in &asked {
            let found: Vec<&Left> = left.iter().filter(|left| runs(one, left)).collect();
            for left in &found {
                let says = Says {
                    verb: Verb::Triggered,
                    ground: Ground::Scheduled,
                };
                self.join(replay, one, (left.node, one.node), says, None);
            }
            pairs += askers.len();
            let local = (pairs <= PAIRS_MAX)
                .then(|| asker_of(one, &askers, &found))
                .flatten();
            if let Some(asker) = local {
                let says = Says {
                    verb: Verb::Asked,
                    ground: Ground::Arguments,
                };
                let ends = (asker.node, one.node);
                self.join(replay, one, ends, says, Some((asker.start_us, asker.event)));
            } else {
                self.join_far(replay, one, &found);
            }
        }
    }

    /// An edge into a process below a broker, by its start and by what came before.
    fn join(
        &mut self,
        replay: &Replay,
        one: &Asked,
        ends: (NodeId, NodeId),
        says: Says,
        before: Option<(i64, EventRef)>,
    ) {
        let Some(mut scene) = Scene::of_act(replay, one.event, one.start_us, Some(one.node)) else {
            return;
        };
        let Some(edge) = self.link_at(&scene, one.start_us, ends, says) else {
            return;
        };
        if let Some((us, event)) = before {
            // Time goes along an edge: a clock that is ahead does not turn it round.
            self.store.cover(edge, us.min(one.start_us), event);
            scene.event = event;
            scene.actor = None;
            self.touch(&scene, edge);
        }
    }

    fn around_brokers(&mut self, replay: &Replay) -> (Vec<Asked>, Vec<Asker>) {
        let processes = replay.processes();
        let (mut asked, mut askers) = (Vec::new(), Vec::new());
        for unit in processes.unit_ids() {
            let Some(facts) = processes.facts(unit) else {
                continue;
            };
            let (Some(node), Some(event)) = (self.known_process(unit), processes.start_ref(unit))
            else {
                continue;
            };
            let image = name_of(&facts);
            let line = facts
                .command_line
                .map_or_else(String::new, |line| plain(&line.lossy()));
            if ASKERS.contains(&image.as_str()) && line.len() > TELLING {
                askers.push(Asker {
                    node,
                    host: facts.host,
                    start_us: facts.start_us,
                    event,
                    line: line.clone(),
                });
            }
            let parent = facts.parent.and_then(|parent| processes.facts(parent));
            let broker = parent.map_or_else(String::new, |parent| name_of(&parent));
            if BROKERS.contains(&broker.as_str()) {
                let session = facts
                    .session
                    .zip(processes.machine_of(unit))
                    .and_then(|(session, machine)| self.sessions.get(&(machine, session)));
                asked.push(Asked {
                    node,
                    host: facts.host,
                    start_us: facts.start_us,
                    event,
                    broker,
                    line,
                    image,
                    session: session.copied(),
                });
            }
        }
        (asked, askers)
    }

    fn known_process(&self, unit: UnitId) -> Option<NodeId> {
        self.store.unit_nodes.get(unit.index()).copied().flatten()
    }

    /// Services and tasks of all hosts, with their commands as they are compared.
    fn left_to_run(&self) -> Vec<Left> {
        let mut left = Vec::new();
        for (index, node) in self.store.nodes.iter().enumerate() {
            if node.kind != crate::graph::NodeKind::Persistence {
                continue;
            }
            let (Some(id), Some(row)) = (
                NodeId::from_index(index),
                self.store.persistence.get(node.row as usize),
            ) else {
                continue;
            };
            left.push(Left {
                node: id,
                host: row.host,
                kind: row.kind,
                name: self.texts.get(row.name).lossy().to_lowercase(),
                command: row
                    .command
                    .map(|command| plain(&self.texts.get(command).lossy())),
                us: row.first_us,
            });
        }
        left
    }

    /// Joins a process to the one on another host that asked for it.
    fn join_far(&mut self, replay: &Replay, one: &Asked, found: &[&Left]) {
        let session = one.session.and_then(|session| {
            let row = self.store.nodes.get(session.index())?.row as usize;
            self.store.sessions.get(row)
        });
        let ip = session.and_then(|row| row.remote_ip);
        let far = ip
            .and_then(|ip| self.ways.own.get(&ip.to_canonical()).copied().flatten())
            .filter(|&host| host != one.host);
        let new_service = one.broker == "services.exe"
            && found.iter().any(|left| {
                left.us
                    .is_some_and(|us| us.abs_diff(one.start_us) <= ASKED_WITHIN_US.unsigned_abs())
            });
        let ports: &[u16] = match one.broker.as_str() {
            _ if far.is_some() || new_service => &[],
            "wsmprovhost.exe" | "winrshost.exe" => &REMOTE_SHELL_PORTS,
            _ => return,
        };
        let ground = if far.is_some() {
            Ground::SameSession
        } else {
            Ground::SameFlow
        };
        let Some(flow) = self.flow_before(replay, one, far, ports) else {
            return;
        };
        let says = Says {
            verb: Verb::Asked,
            ground,
        };
        let ends = (flow.client, one.node);
        self.join(
            replay,
            one,
            ends,
            says,
            Some((flow.client_us, flow.client_event)),
        );
    }

    /// The last connection from another host to this one before a process started, as far as one
    /// process of that host had any.
    fn flow_before(
        &self,
        replay: &Replay,
        one: &Asked,
        far: Option<HostId>,
        ports: &[u16],
    ) -> Option<Crossing> {
        let mut near: Vec<(bool, u64, Crossing)> = Vec::new();
        for flow in &self.ways.crossings {
            let fits = flow.server_host == one.host
                && flow.client_host != one.host
                && far.is_none_or(|far| far == flow.client_host)
                && (ports.is_empty() || ports.contains(&flow.server_port));
            let before = one.start_us.saturating_sub(flow.server_us);
            if !fits || !(-LATE_US..=ASKED_WITHIN_US).contains(&before) {
                continue;
            }
            // The system's own process carries everyone's files; who is behind it, it does not say.
            let row = self.store.nodes.get(flow.client.index());
            let unit = row.and_then(|row| self.store.process_rows.get(row.row as usize));
            let facts = unit.and_then(|&unit| replay.processes().facts(unit));
            let name = facts.as_ref().map(name_of).unwrap_or_default();
            let system = name.is_empty()
                || name == "system"
                || BROKERS.contains(&name.as_str())
                || name == "lsass.exe";
            near.push((system, before.unsigned_abs(), *flow));
        }
        near.sort_by_key(|(system, before, flow)| (*system, *before, flow.client));
        near.first().map(|(_, _, flow)| *flow)
    }
}

/// Whether something that was left is what this process runs.
fn runs(one: &Asked, left: &Left) -> bool {
    if left.host != one.host {
        return false;
    }
    let fits = match left.kind {
        PersistenceKind::Service => one.broker == "services.exe",
        PersistenceKind::ScheduledTask => {
            matches!(
                one.broker.as_str(),
                "svchost.exe" | "taskeng.exe" | "taskhost.exe" | "taskhostw.exe"
            )
        }
        PersistenceKind::Driver | PersistenceKind::WmiSubscription => false,
    };
    let early = left
        .us
        .is_none_or(|us| us <= one.start_us.saturating_add(LATE_US));
    fits && early
        && left
            .command
            .as_deref()
            .is_some_and(|command| same_command(command, one))
}

/// Whether a configured command is the one that runs: the same arguments, and the same program by
/// its name, which a variable may stand for.
fn same_command(command: &str, one: &Asked) -> bool {
    let (program, rest) = split(command);
    let (_, own) = split(&one.line);
    let name = base(program).trim_end_matches(".exe");
    let by_variable = program.contains('%');
    rest == own && (by_variable || name == one.image.trim_end_matches(".exe")) && !name.is_empty()
}

/// The last process, before a start, whose command line holds the started one's, or names the
/// service or task that started it.
fn asker_of<'a>(one: &Asked, askers: &'a [Asker], found: &[&Left]) -> Option<&'a Asker> {
    let (_, rest) = split(&one.line);
    let whole = if rest.len() >= TELLING {
        rest
    } else {
        &one.line
    };
    let named = |line: &str| {
        let names = found.iter().map(|left| {
            let name = left.name.as_str();
            name.rsplit('\\').next().unwrap_or(name)
        });
        names
            .filter(|name| name.len() > 2)
            .any(|name| line.split([' ', '\\', '=', ',']).any(|word| word == name))
    };
    let fits = |asker: &&Asker| {
        let before = one.start_us.saturating_sub(asker.start_us);
        let told = whole.len() >= TELLING && asker.line.contains(whole);
        asker.node != one.node
            && (-LATE_US..=LEFT_WITHIN_US).contains(&before)
            && asker.line != one.line
            && (told && (asker.host == one.host || whole.len() >= 2 * TELLING)
                || asker.host == one.host && named(&asker.line))
    };
    let latest = askers.iter().filter(fits);
    latest.max_by_key(|asker| (asker.start_us.min(one.start_us), asker.node))
}

/// A command line as it is compared: lower case, without quotes, one space between words.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len().min(4096));
    for word in line.split(|c: char| c.is_whitespace() || c == '"' || c == '\'') {
        if !word.is_empty() && text.len() < 1 << 15 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word.to_lowercase());
        }
    }
    text
}

/// The program of a plain command line and the rest. A program with spaces in its path ends at
/// its extension.
fn split(line: &str) -> (&str, &str) {
    let end = line
        .find(".exe")
        .map(|at| at + 4)
        .filter(|&end| line.as_bytes().get(end).is_none_or(|&byte| byte == b' '))
        .filter(|_| {
            line.contains(":\\") || line.find(' ').is_none_or(|at| line.find(".exe") < Some(at))
        })
        .or_else(|| line.find(' '))
        .unwrap_or(line.len());
    let (program, rest) = line.split_at(end);
    (program, rest.trim_start())
}

fn base(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// The name of the program of a process, lower case.
fn name_of(facts: &ProcessFacts<'_>) -> String {
    let image = facts.image.map(|image| image.lossy().to_lowercase());
    image.map_or_else(String::new, |image| base(&image).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_compared_by_their_words() {
        assert_eq!(
            plain("\"C:\\A b\\X.exe\"   -q \"y\""),
            "c:\\a b\\x.exe -q y"
        );
        assert_eq!(split("c:\\a b\\x.exe -q y"), ("c:\\a b\\x.exe", "-q y"));
        assert_eq!(
            split("%comspec% /c start a.exe"),
            ("%comspec%", "/c start a.exe")
        );
        assert_eq!(split("cmd /c a.exe"), ("cmd", "/c a.exe"));
        assert_eq!(split(""), ("", ""));
    }
}
