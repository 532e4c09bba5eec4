//! What is documented of ordinary systems: the roles of programs and of paths.
//!
//! The table is one data file, `knowledge.tsv`, with a reason in each line. It is only the cold
//! start: what the evidence itself shows (who serves, who starts what how often) counts for more.

use std::collections::BTreeMap;

/// The table that the program carries.
const BUILT_IN: &str = include_str!("knowledge.tsv");

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a program is for, by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Role { $($(#[$doc])* $name,)* }

        impl Role {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

roles! {
    /// The first process, or one that stands in for it.
    Init = "init",
    /// Starts services or containers for others.
    ServiceManager = "service_manager",
    /// Lets people in.
    Login = "login",
    /// Runs at a time what others left.
    Scheduler = "scheduler",
    /// A person's desktop.
    Desktop = "desktop",
    /// Runs here what another host asked for.
    RemoteBroker = "remote_broker",
    /// A command interpreter.
    Shell = "shell",
    /// Runs a program given as text.
    Interpreter = "interpreter",
    /// Starts the program that its arguments name.
    Wrapper = "wrapper",
    /// Changes the account for a person who may.
    Elevator = "elevator",
    /// Serves requests from anyone.
    WebServer = "web_server",
    /// Serves queries.
    Database = "database",
    /// Installs software in the ordinary way.
    PackageManager = "package_manager",
    /// Reads whole trees.
    BulkReader = "bulk_reader",
    /// Compiles.
    BuildTool = "build_tool",
    /// Packs files.
    Archiver = "archiver",
    /// Moves data over the network.
    Transfer = "transfer",
    /// Asks about the machine.
    Discovery = "discovery",
    /// Runs code of the file that its arguments name.
    Loader = "loader",
    /// Brings files from the network for a person.
    Browser = "browser",
    /// Shows documents, and runs what is hidden in them.
    Document = "document",
    /// Keeps the credentials of those who are logged in.
    Credentials = "credentials",
}

/// The roles of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(u32);

impl Roles {
    /// Whether it has this role.
    pub(super) const fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u32) != 0
    }

    /// Whether it has one of these roles.
    pub(super) fn any(self, roles: &[Role]) -> bool {
        roles.iter().any(|&role| self.has(role))
    }

    fn add(&mut self, role: Role) {
        self.0 |= 1 << role as u32;
    }
}

/// What a path is, beside being a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// What stands there is started by itself later, or lets someone in.
    Persistence,
    /// Credentials stand there.
    Credential,
    /// Traces of work stand there: logs, histories.
    Trace,
    /// Anyone may write there.
    Temporary,
    /// Read by everyone: sharing it means nothing.
    Common,
    /// Programs of the system stand there.
    Installed,
    /// A packed file, by its name.
    Archive,
    /// Written by the system's libraries for any program.
    Byproduct,
}

impl Place {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "persistence" => Self::Persistence,
            "credential" => Self::Credential,
            "trace" => Self::Trace,
            "temporary" => Self::Temporary,
            "common" => Self::Common,
            "installed" => Self::Installed,
            "archive" => Self::Archive,
            "byproduct" => Self::Byproduct,
            _ => return None,
        })
    }
}

/// What the table says of a program or a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The ATT&CK technique that using it may be.
    pub(super) technique: Option<&'static str>,
    /// The reason, or for paths what stands there.
    pub(super) reason: &'static str,
}

/// The table, ready to be asked.
#[derive(Debug)]
pub(super) struct Knowledge {
    roles: BTreeMap<&'static str, Roles>,
    notes: BTreeMap<(Role, &'static str), Note>,
    paths: BTreeMap<Place, Vec<(&'static str, Note)>>,
}

impl Knowledge {
    /// The table that the program carries.
    pub(super) fn built_in() -> Self {
        let mut table = Self {
            roles: BTreeMap::new(),
            notes: BTreeMap::new(),
            paths: BTreeMap::new(),
        };
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#')) {
            table.add(line);
        }
        table
    }

    fn add(&mut self, line: &'static str) {
        let mut parts = line.splitn(4, '\t');
        let (Some(what), Some(patterns), Some(technique), Some(reason)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let note = Note {
            technique: (technique != "-").then_some(technique),
            reason,
        };
        for pattern in patterns.split(" | ") {
            if let Some(place) = Place::parse(what) {
                self.paths.entry(place).or_default().push((pattern, note));
            } else if let Some(role) = Role::ALL.iter().find(|role| role.word() == what) {
                self.roles.entry(pattern).or_default().add(*role);
                self.notes.entry((*role, pattern)).or_insert(note);
            }
        }
    }

    /// The roles of the program at a path, or of a bare name.
    pub(super) fn roles(&self, image: &str) -> Roles {
        self.listed_name(image)
            .and_then(|name| self.roles.get(name.as_str()))
            .copied()
            .unwrap_or_default()
    }

    /// What the table says of a program in a role.
    pub(super) fn note(&self, role: Role, image: &str) -> Option<Note> {
        let name = self.listed_name(image)?;
        self.notes
            .iter()
            .find(|((r, n), _)| *r == role && *n == name)
            .map(|(_, note)| *note)
    }

    /// What the table says of a path as such a place.
    pub(super) fn place(&self, place: Place, path: &str) -> Option<Note> {
        let patterns = self.paths.get(&place)?;
        patterns
            .iter()
            .find(|(pattern, _)| fits(pattern.as_bytes(), path.as_bytes()))
            .map(|(_, note)| *note)
    }

    /// Whether a path is such a place.
    pub(super) fn is(&self, place: Place, path: &str) -> bool {
        self.place(place, path).is_some()
    }

    /// The name under which a program stands in the table: as it is, without its version behind
    /// a dot (`python3.11`), without trailing digits (`php8`).
    fn listed_name(&self, image: &str) -> Option<String> {
        let name = base_name(image).to_ascii_lowercase();
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        let undotted = name
            .split_once('.')
            .filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
            .map_or(name.as_str(), |(before, _)| before);
        [name.as_str(), undotted, name.trim_end_matches(digits)]
            .into_iter()
            .find(|candidate| self.roles.contains_key(candidate))
            .map(str::to_owned)
    }
}

/// The last part of a path, of either system; a login shell's leading `-` and the kernel's
/// mark of a deleted file are no part of a name.
pub(super) fn base_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_prefix('-').unwrap_or(name)
}

/// The folder of a path, without the last separator; empty for a bare name.
pub(super) fn folder(path: &str) -> &str {
    path.rfind(['/', '\\']).map_or("", |at| &path[..at])
}

/// Whether a text fits a pattern in which `*` stands for any text. Linear in the text for each star.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern
            .get(p)
            .is_some_and(|c| c.eq_ignore_ascii_case(&text[t]))
        {
            p += 1;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            p = after_star;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<&str> = line.split('\t').collect();
            assert_eq!(parts.len(), 4, "{line}");
            let known = Place::parse(parts[0]).is_some()
                || Role::ALL.iter().any(|role| role.word() == parts[0]);
            assert!(known, "{line}");
            assert!(
                !parts[3].is_empty() && parts[1].split(" | ").all(|p| !p.is_empty()),
                "{line}"
            );
        }
    }

    #[test]
    fn programs_are_known_by_name_whatever_their_version_and_folder() {
        let table = Knowledge::built_in();
        for (image, role) in [
            ("/usr/bin/python3.11", Role::Interpreter),
            ("/usr/bin/php8.2", Role::Interpreter),
            ("-bash", Role::Shell),
            ("C:\\Windows\\System32\\cmd.exe", Role::Shell),
            ("/usr/sbin/sshd", Role::Login),
            ("/usr/bin/x86_64/tar (deleted)", Role::Archiver),
        ] {
            assert!(table.roles(image).has(role), "{image}");
        }
        assert_eq!(table.roles("/tmp/.x"), Roles::default());
    }

    #[test]
    fn paths_fit_their_patterns_and_no_others() {
        let table = Knowledge::built_in();
        assert!(table.is(Place::Persistence, "/etc/cron.d/job"));
        assert!(table.is(Place::Persistence, "/root/.ssh/authorized_keys"));
        assert!(table.is(Place::Credential, "/etc/shadow"));
        assert!(table.is(Place::Temporary, "/dev/shm/.x"));
        assert!(table.is(Place::Common, "/usr/lib/x86_64-linux-gnu/libc.so.6"));
        assert!(!table.is(Place::Persistence, "/home/a/cron.d"));
        assert!(!table.is(Place::Temporary, "/tmp"));
        assert!(fits(b"a*b*c", b"axxbyyc") && !fits(b"a*b*c", b"axxbyy") && fits(b"*", b""));
    }
}
