//! The few files whose reading is worth an event: credentials, keys, who may become root.
//!
//! Opens are far too many to be recorded, so each of these files, or the directory that
//! holds them, has a mark of its own. A list that is short, and that says why.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Files of the system: hashes of passwords, rights, the machine's own keys.
const SYSTEM_FILES: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/krb5.keytab",
    "/etc/kubernetes/admin.conf",
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
];

/// Directories of the system of which every file counts.
const SYSTEM_DIRECTORIES: &[&str] = &["/etc/sudoers.d", "/etc/ssl/private", "/etc/pki/tls/private"];

/// In each home: tokens of clouds, registries, databases, version control; what was typed.
const HOME_FILES: &[&str] = &[
    ".aws/credentials",
    ".azure/accessTokens.json",
    ".azure/msal_token_cache.json",
    ".bash_history",
    ".config/gcloud/application_default_credentials.json",
    ".config/gcloud/credentials.db",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".git-credentials",
    ".kube/config",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".vault-token",
    ".zsh_history",
];

/// In each home: directories of private keys.
const HOME_DIRECTORIES: &[&str] = &[".ssh", ".gnupg/private-keys-v1.d"];

/// The most homes that are watched; a directory service may list a hundred thousand.
const HOMES_MAX: usize = 256;

/// What to put marks on, in one view of the mounts.
#[derive(Debug, Default)]
pub struct Watched {
    files: HashSet<Vec<u8>>,
    directories: HashSet<Vec<u8>>,
}

impl Watched {
    /// The list for the accounts of `passwd`, the text of `/etc/passwd`.
    #[must_use]
    pub fn for_accounts(passwd: &[u8]) -> Self {
        let mut watched = Self::default();
        let bytes = |path: &&str| path.as_bytes().to_vec();
        watched.files.extend(SYSTEM_FILES.iter().map(bytes));
        watched
            .directories
            .extend(SYSTEM_DIRECTORIES.iter().map(bytes));
        let mut homes = HashSet::from([b"/root".to_vec()]);
        homes.extend(
            passwd
                .split(|byte| *byte == b'\n')
                .filter_map(home)
                .take(HOMES_MAX),
        );
        for home in &homes {
            let below = |path: &&str| [home.as_slice(), b"/", path.as_bytes()].concat();
            watched.files.extend(HOME_FILES.iter().map(below));
            watched
                .directories
                .extend(HOME_DIRECTORIES.iter().map(below));
        }
        watched
    }

    /// The same and what a user `added`: a path that ends in `/` is a directory of which every file counts.
    #[must_use]
    pub fn and(mut self, added: &[Vec<u8>]) -> Self {
        for path in added {
            match path.strip_suffix(b"/") {
                Some(directory) => self.directories.insert(directory.to_vec()),
                None => self.files.insert(path.clone()),
            };
        }
        self
    }

    /// Adds what `other` watches.
    pub fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.directories.extend(other.directories);
    }

    /// The files to mark, that exist now.
    pub fn files(&self) -> impl Iterator<Item = CString> {
        existing(&self.files)
    }

    /// The directories whose files to mark, that exist now.
    pub fn directories(&self) -> impl Iterator<Item = CString> {
        existing(&self.directories)
    }

    /// Whether a thing that has just appeared at `path` wants a mark, and of which kind.
    #[must_use]
    pub fn wants(&self, path: &[u8]) -> Option<Want> {
        if self.files.contains(path) {
            return Some(Want::File);
        }
        self.directories.contains(path).then_some(Want::FilesWithin)
    }
}

/// The kind of a mark for opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// On the file itself.
    File,
    /// On a directory, for the files in it.
    FilesWithin,
}

fn existing(paths: &HashSet<Vec<u8>>) -> impl Iterator<Item = CString> {
    paths
        .iter()
        .filter(|path| Path::new(std::ffi::OsStr::from_bytes(path)).exists())
        .filter_map(|path| CString::new(path.clone()).ok())
}

/// The home of an account that someone logs in to: a path that is no system directory's.
fn home(line: &[u8]) -> Option<Vec<u8>> {
    let home = line.split(|byte| *byte == b':').nth(5)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(home));
    if !path.is_absolute() || path.components().count() < 2 {
        return None;
    }
    // A home may be written with a slash at its end; events never are.
    Some(OsString::from(path.components().as_path()).into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_home_has_its_keys_watched() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann/:/bin/sh\nbroken\nno:x:1:1::/:/bin/false\n";
        let watched = Watched::for_accounts(passwd);
        assert_eq!(watched.wants(b"/home/ann/.ssh"), Some(Want::FilesWithin));
        assert_eq!(watched.wants(b"/root/.aws/credentials"), Some(Want::File));
        assert_eq!(watched.wants(b"/etc/shadow"), Some(Want::File));
        assert_eq!(watched.wants(b"//.ssh"), None);
        assert_eq!(watched.wants(b"/etc/passwd"), None);
        let more = watched.and(&[b"/etc/passwd".to_vec(), b"/srv/keys/".to_vec()]);
        assert_eq!(more.wants(b"/etc/passwd"), Some(Want::File));
        assert_eq!(more.wants(b"/srv/keys"), Some(Want::FilesWithin));
    }

    #[test]
    fn endless_accounts_do_not_make_an_endless_list() {
        let passwd: String = (0..10_000)
            .map(|n| format!("u{n}:x:{n}:{n}::/home/u{n}:/bin/sh\n"))
            .collect();
        let watched = Watched::for_accounts(passwd.as_bytes());
        assert!(
            watched.directories.len()
                <= (HOMES_MAX + 1) * HOME_DIRECTORIES.len() + SYSTEM_DIRECTORIES.len()
        );
    }
}
