//! Accounts: the lines of `/etc/passwd` (passwd(5)).

use saigen_schemas::event::{Kind, StateAccount, Text};

/// The most accounts that are told; directories of many thousands are not in this file.
const ACCOUNTS_MAX: usize = 4096;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home.
    pub home: &'a [u8],
    /// Shell.
    pub shell: &'a [u8],
}

/// The accounts of the text of `/etc/passwd`. A line that is not one is left out.
pub fn parse(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    passwd
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .take(ACCOUNTS_MAX)
}

fn line(line: &[u8]) -> Option<Account<'_>> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let uid = number(fields.next()?)?;
    let gid = number(fields.next()?)?;
    let _comment = fields.next()?;
    Some(Account {
        name,
        uid,
        gid,
        home: fields.next()?,
        shell: fields.next()?,
    })
}

/// Tells of each account.
pub fn tell(passwd: &[u8], emit: &mut dyn FnMut(Kind<'_>)) {
    for account in parse(passwd) {
        emit(Kind::StateAccount(StateAccount {
            name: Some(Text(account.name)),
            uid: Some(account.uid),
            gid: Some(account.gid),
            home: Some(Text(account.home)),
            shell: Some(Text(account.shell)),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_strangers_left_out() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n+::::::\nbroken:x:y\nann:x:1000:1000:,,,:/home/ann:/bin/sh";
        let accounts: Vec<_> = parse(passwd).collect();
        assert_eq!(accounts.len(), 2);
        assert_eq!(
            (accounts[1].name, accounts[1].uid, accounts[1].home),
            (&b"ann"[..], 1000, &b"/home/ann"[..])
        );
    }
}
