//! The title: what an incident is, in one line.

use std::collections::BTreeSet;

use crate::detect::Tactic;
use crate::reconstruct::backward::EndKind;
use crate::reconstruct::groups::Group;
use crate::reconstruct::tell::acts::Act;
use crate::reconstruct::tell::entry::{Beginnings, first_ends};
use crate::reconstruct::tell::words;
use crate::reconstruct::world::World;

/// The title of an incident: how it began, what it led to, where.
pub(super) fn title(
    world: &World<'_>,
    group: &Group,
    beginnings: &Beginnings,
    acts: &[Act],
    hosts: &[String],
) -> String {
    let first = first_ends(world, group, beginnings)
        .into_iter()
        .map(|(_, end)| end.kind)
        .next();
    let began = match first {
        Some(EndKind::Request | EndKind::UnseenRequest) => "Service compromise",
        Some(EndKind::Session) => "Intrusion through a login",
        Some(EndKind::Download) => "Downloaded program",
        Some(EndKind::Removable) => "Program from a removable device",
        Some(EndKind::Clicked) => "Program started from the desktop",
        Some(EndKind::Job) => "Malicious job",
        Some(EndKind::Brokered) => "Remote execution",
        Some(EndKind::FileStood | EndKind::Stood | EndKind::Unseen | EndKind::Inside) | None => {
            "Malicious activity of unseen origin"
        }
    };
    let mut tactics: BTreeSet<Tactic> = acts
        .iter()
        .flat_map(|act| act.tactics.iter().copied())
        .collect();
    tactics.extend(group.weighed.iter().map(|one| one.tactic));
    let goals = [
        (Tactic::PrivilegeEscalation, "privilege escalation"),
        (Tactic::CredentialAccess, "credential access"),
        (Tactic::LateralMovement, "lateral movement"),
        (Tactic::Persistence, "persistence"),
        (Tactic::Exfiltration, "exfiltration"),
        (Tactic::Impact, "impact"),
    ];
    let mut led: Vec<String> = goals
        .iter()
        .filter(|(tactic, _)| tactics.contains(tactic))
        .map(|(_, word)| (*word).to_owned())
        .collect();
    if led.is_empty() && tactics.contains(&Tactic::CommandAndControl) {
        led.push("remote control".to_owned());
    }
    let led = if led.is_empty() {
        String::new()
    } else {
        format!(" leading to {}", words::list(&led))
    };
    format!("{began}{led} on {}", words::some_of(hosts, 3))
}
