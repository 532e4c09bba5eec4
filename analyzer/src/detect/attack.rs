//! MITRE ATT&CK in tags: techniques, tactics and their order in an attack.

use std::fmt;

/// How grave a rule says that its finding is. The order is that of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth a note, no finding by itself. Also of a rule that states no level.
    Informational,
    /// Seen in ordinary work as well.
    Low,
    /// Unusual; ordinary explanations exist.
    Medium,
    /// Seldom seen without an attack.
    High,
    /// No ordinary explanation is known.
    Critical,
}

impl Level {
    /// All levels, the mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The word of the Sigma specification.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the word of the Sigma specification.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == word)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tactic of ATT&CK Enterprise: what an attacker wants at one stage.
///
/// Version 19 split `defense-evasion` into `stealth` and `defense-impairment`; rules of both ages
/// are in use, and [`read_tags`] reads the old word as the one that its techniques went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tactic {
    /// TA0043
    Reconnaissance,
    /// TA0042
    ResourceDevelopment,
    /// TA0001
    InitialAccess,
    /// TA0002
    Execution,
    /// TA0003
    Persistence,
    /// TA0004
    PrivilegeEscalation,
    /// Hiding, from version 19
    Stealth,
    /// Breaking what watches, from version 19
    DefenseImpairment,
    /// TA0006
    CredentialAccess,
    /// TA0007
    Discovery,
    /// TA0008
    LateralMovement,
    /// TA0009
    Collection,
    /// TA0011
    CommandAndControl,
    /// TA0010
    Exfiltration,
    /// TA0040
    Impact,
}

impl Tactic {
    /// All tactics in the order in which an attack usually goes.
    pub const ALL: [Self; 15] = [
        Self::Reconnaissance,
        Self::ResourceDevelopment,
        Self::InitialAccess,
        Self::Execution,
        Self::Persistence,
        Self::PrivilegeEscalation,
        Self::Stealth,
        Self::DefenseImpairment,
        Self::CredentialAccess,
        Self::Discovery,
        Self::LateralMovement,
        Self::Collection,
        Self::CommandAndControl,
        Self::Exfiltration,
        Self::Impact,
    ];

    /// The word that tags and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reconnaissance => "reconnaissance",
            Self::ResourceDevelopment => "resource-development",
            Self::InitialAccess => "initial-access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::PrivilegeEscalation => "privilege-escalation",
            Self::Stealth => "stealth",
            Self::DefenseImpairment => "defense-impairment",
            Self::CredentialAccess => "credential-access",
            Self::Discovery => "discovery",
            Self::LateralMovement => "lateral-movement",
            Self::Collection => "collection",
            Self::CommandAndControl => "command-and-control",
            Self::Exfiltration => "exfiltration",
            Self::Impact => "impact",
        }
    }

    /// The place of the tactic in the usual order of an attack, from 0. Hiding and
    /// breaking the watcher share one place.
    #[must_use]
    pub const fn stage(self) -> u8 {
        match self {
            Self::Reconnaissance => 0,
            Self::ResourceDevelopment => 1,
            Self::InitialAccess => 2,
            Self::Execution => 3,
            Self::Persistence => 4,
            Self::PrivilegeEscalation => 5,
            Self::Stealth | Self::DefenseImpairment => 6,
            Self::CredentialAccess => 7,
            Self::Discovery => 8,
            Self::LateralMovement => 9,
            Self::Collection => 10,
            Self::CommandAndControl => 11,
            Self::Exfiltration => 12,
            Self::Impact => 13,
        }
    }

    /// Reads the word of a tag, with `-` or `_` between its parts.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let dashed = word.replace('_', "-");
        Self::ALL.into_iter().find(|tactic| tactic.name() == dashed)
    }
}

impl fmt::Display for Tactic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Techniques (`T1059.004`) and tactics that tags name, each once, in the order of the tags.
#[must_use]
pub fn read_tags(tags: &[String]) -> (Vec<String>, Vec<Tactic>) {
    let mut techniques = Vec::new();
    let mut tactics = Vec::new();
    let mut old_evasion = false;
    for tag in tags {
        let lower = tag.to_ascii_lowercase();
        let Some(word) = lower.strip_prefix("attack.") else {
            continue;
        };
        if is_technique(word) {
            let technique = word.to_ascii_uppercase();
            if !techniques.contains(&technique) {
                techniques.push(technique);
            }
        } else if evasion_of_old(word) {
            old_evasion = true;
        } else if let Some(tactic) = Tactic::parse(word)
            && !tactics.contains(&tactic)
        {
            tactics.push(tactic);
        }
    }
    if old_evasion {
        let impairs = techniques.iter().any(|technique| impairs(technique));
        let tactic = if impairs {
            Tactic::DefenseImpairment
        } else {
            Tactic::Stealth
        };
        if !tactics.contains(&tactic) {
            tactics.push(tactic);
        }
    }
    (techniques, tactics)
}

/// The tactic's word until version 18.
fn evasion_of_old(word: &str) -> bool {
    word == "defense-evasion" || word == "defense_evasion"
}

/// Techniques of the old `defense-evasion` that version 19 counts as impairing defenses; all
/// others are stealth. Sub-techniques go with theirs.
const IMPAIRING: [&str; 11] = [
    "T1112", "T1207", "T1222", "T1484", "T1553", "T1556", "T1562", "T1578", "T1600", "T1601",
    "T1689",
];

fn impairs(technique: &str) -> bool {
    let whole = technique.split('.').next().unwrap_or(technique);
    IMPAIRING.contains(&whole)
}

/// `t` and four digits, then perhaps a dot and three digits.
fn is_technique(word: &str) -> bool {
    let Some(number) = word.strip_prefix('t') else {
        return false;
    };
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match number.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_both_ages_name_their_tactics() {
        let tags = [
            "attack.t1059.004",
            "attack.T1105",
            "attack.defense_evasion",
            "attack.stealth",
            "attack.defense-impairment",
            "attack.command-and-control",
            "attack.t1059.004",
            "attack.g0032",
            "attack.s0002",
            "cve.2021-44228",
            "t1003",
            "attack.t100",
        ]
        .map(String::from);
        let (techniques, tactics) = read_tags(&tags);
        assert_eq!(techniques, ["T1059.004", "T1105"]);
        assert_eq!(
            tactics,
            [
                Tactic::Stealth,
                Tactic::DefenseImpairment,
                Tactic::CommandAndControl
            ]
        );
        let old = ["attack.defense-evasion", "attack.t1562.001"].map(String::from);
        assert_eq!(read_tags(&old).1, [Tactic::DefenseImpairment]);
    }

    #[test]
    fn every_name_reads_back() {
        for tactic in Tactic::ALL {
            assert_eq!(Tactic::parse(tactic.name()), Some(tactic));
        }
        for level in Level::ALL {
            assert_eq!(Level::parse(level.name()), Some(level));
        }
        assert!(Level::Critical > Level::High && Level::Low > Level::Informational);
    }
}
