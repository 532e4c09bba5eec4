//! The files that a system call named: `PATH` records, and the folder that they are seen from.

use crate::import::audit::kinds::RecordType;
use crate::import::audit::parsed::{Parsed, Record, decimal, hex, octal, says_something};

/// A file that a system call named.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// Its path, absolute where the records allow to say so.
    pub(super) path: Vec<u8>,
    pub(super) role: Role,
    pub(super) inode: Option<u64>,
    /// Major number in the upper 32 bits.
    pub(super) dev: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// What a file is to the call (`nametype`, `objtype` of early kernels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    Normal,
    Parent,
    Create,
    Delete,
    #[default]
    Unknown,
}

impl Role {
    fn of(word: &[u8]) -> Self {
        match word {
            b"NORMAL" => Self::Normal,
            b"PARENT" => Self::Parent,
            b"CREATE" => Self::Create,
            b"DELETE" => Self::Delete,
            _ => Self::Unknown,
        }
    }
}

/// The files of an event in the order of their numbers.
pub(super) fn items(parsed: &Parsed) -> Vec<Item> {
    let cwd = cwd(parsed);
    let mut items: Vec<(u64, Item)> = parsed
        .all(RecordType::PATH)
        .map(|record| (number(record), item(record, cwd)))
        .collect();
    if items.is_empty() {
        items.extend(
            parsed
                .all(RecordType::AUOMS)
                .flat_map(|record| listed(record, cwd)),
        );
    }
    items.sort_by_key(|(number, _)| *number);
    items.into_iter().map(|(_, item)| item).collect()
}

/// The working directory of the process.
pub(super) fn cwd(parsed: &Parsed) -> Option<&[u8]> {
    let own = parsed.find(RecordType::CWD);
    let record = own.or_else(|| parsed.find(RecordType::AUOMS))?;
    record.known(b"cwd")
}

fn number(record: Record<'_>) -> u64 {
    record.number(b"item").unwrap_or(u64::MAX)
}

fn item(record: Record<'_>, cwd: Option<&[u8]>) -> Item {
    let mut item = Item::default();
    for (name, value) in record.pairs() {
        match name {
            b"name" if says_something(value) => item.path = absolute(value, cwd),
            b"nametype" | b"objtype" => item.role = Role::of(value),
            b"inode" => item.inode = decimal(value),
            b"dev" => item.dev = device(value),
            b"mode" => item.mode = octal(value),
            b"ouid" => item.uid = small(value),
            b"ogid" => item.gid = small(value),
            _ => {}
        }
    }
    item
}

/// The files of auoms' one-line form: lists in brackets.
fn listed(record: Record<'_>, cwd: Option<&[u8]>) -> Vec<(u64, Item)> {
    let list = |name: &[u8]| record.get(name).map(bracketed).unwrap_or_default();
    let (names, roles, modes) = (
        list(b"path_name"),
        list(b"path_nametype"),
        list(b"path_mode"),
    );
    let first = |name: &[u8]| record.known(name);
    let items = names.iter().enumerate().map(|(index, name)| {
        let mut item = Item {
            path: absolute(name, cwd),
            role: roles
                .get(index)
                .map_or(Role::Unknown, |role| Role::of(role)),
            mode: modes.get(index).and_then(|mode| octal(mode)),
            ..Item::default()
        };
        if index == 0 {
            item.inode = first(b"inode").and_then(decimal);
            item.dev = first(b"dev").and_then(device);
        }
        (index as u64, item)
    });
    items.collect()
}

/// The texts of `["a","b"]`.
fn bracketed(list: &[u8]) -> Vec<Vec<u8>> {
    serde_json::from_slice::<Vec<String>>(list)
        .map(|texts| texts.into_iter().map(String::into_bytes).collect())
        .unwrap_or_default()
}

/// `MAJOR:MINOR`, both in hex.
fn device(text: &[u8]) -> Option<u64> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let major = hex(text.get(..colon)?)?;
    let minor = hex(text.get(colon + 1..)?)?;
    (major <= u64::from(u32::MAX) && minor <= u64::from(u32::MAX)).then_some(major << 32 | minor)
}

fn small(text: &[u8]) -> Option<u32> {
    u32::try_from(decimal(text)?).ok()
}

/// A path seen from a folder, without `.`, `..` and double slashes. What cannot be made absolute
/// stays as it is.
pub(super) fn absolute(path: &[u8], cwd: Option<&[u8]>) -> Vec<u8> {
    let whole: Vec<u8>;
    let path = if path.starts_with(b"/") {
        path
    } else {
        match cwd.filter(|cwd| cwd.starts_with(b"/")) {
            Some(cwd) => {
                whole = [cwd, b"/", path].concat();
                &whole
            }
            None => return path.to_vec(),
        }
    };
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_their_folder() {
        type Case<'c> = (&'c [u8], Option<&'c [u8]>, &'c [u8]);
        let cases: [Case<'_>; 8] = [
            (b"/etc/passwd", None, b"/etc/passwd"),
            (b"x", Some(b"/tmp"), b"/tmp/x"),
            (b"./a//b/../c", Some(b"/tmp/"), b"/tmp/a/c"),
            (b"../../../x", Some(b"/tmp"), b"/x"),
            (b"..", Some(b"/"), b"/"),
            (b"/run/", None, b"/run"),
            (b"x", None, b"x"),
            (b"x", Some(b"odd"), b"x"),
        ];
        for (path, cwd, expected) in cases {
            assert_eq!(absolute(path, cwd), expected);
        }
    }

    #[test]
    fn devices_are_two_numbers() {
        assert_eq!(device(b"fd:01"), Some(0xfd << 32 | 1));
        assert_eq!(device(b"103:05"), Some(0x103 << 32 | 5));
        assert_eq!(device(b"fd"), None);
    }
}
