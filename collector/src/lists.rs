//! The lists that a user may add to: whose reading is told, which variables are kept, and below
//! which directories files are left out.

use crate::persistence;

/// What is recorded beside what always is, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// Files whose reading is told; of a directory, which ends in `/`, every file in it.
    pub reads: Vec<Vec<u8>>,
    /// Names of variables that are kept of a new program's environment.
    pub variables: Vec<Vec<u8>>,
    /// Directories below which nothing is told of files.
    pub excluded: Vec<Vec<u8>>,
}

impl Lists {
    /// Whether nothing is told of the file at this path. Places that start something by themselves
    /// are told of whatever the list says: an attacker must not find a blind spot there.
    #[must_use]
    pub fn is_excluded(&self, path: &[u8]) -> bool {
        self.excluded.iter().any(|directory| {
            path.strip_prefix(&directory[..])
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        }) && !persistence::is_there(path)
    }
}

/// A path of the lists: absolute, and as the kernel names it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn path(text: &str) -> Result<Vec<u8>, String> {
    let odd = text.split('/').any(|part| matches!(part, "." | ".."));
    if !text.starts_with('/') || text.contains("//") || odd {
        return Err(format!(
            "expected an absolute path without . and .., found {text:?}"
        ));
    }
    Ok(text.as_bytes().to_vec())
}

/// A directory of the lists, without a slash at its end.
///
/// # Errors
/// What is wrong with it, in words.
pub fn directory(text: &str) -> Result<Vec<u8>, String> {
    let mut path = path(text)?;
    if path.last() == Some(&b'/') {
        path.pop();
    }
    if path.is_empty() {
        return Err("the whole system cannot be left out".to_owned());
    }
    Ok(path)
}

/// The name of a variable.
///
/// # Errors
/// What is wrong with it, in words.
pub fn variable(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err(format!("expected the name of a variable, found {text:?}"));
    }
    Ok(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_an_excluded_directory_is_left_out_and_its_neighbours_are_not() {
        let lists = Lists {
            excluded: vec![
                directory("/var/cache/").unwrap(),
                directory("/etc").unwrap(),
            ],
            ..Lists::default()
        };
        assert!(lists.is_excluded(b"/var/cache") && lists.is_excluded(b"/var/cache/x/y"));
        assert!(!lists.is_excluded(b"/var/cached") && !lists.is_excluded(b"/var"));
        assert!(lists.is_excluded(b"/etc/motd"));
        assert!(!lists.is_excluded(b"/etc/cron.d/x"), "it starts something");
    }

    #[test]
    fn paths_that_mean_something_else_than_they_say_are_refused() {
        for bad in ["", "var", "/var/../etc", "/var/./x", "//var"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(directory("/").is_err());
        assert_eq!(path("/srv/keys/").unwrap(), b"/srv/keys/");
        assert!(variable("A=B").is_err() && variable("").is_err());
        assert_eq!(variable("KRB5CCNAME").unwrap(), b"KRB5CCNAME");
    }
}
