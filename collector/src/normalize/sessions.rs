//! Sessions: what login programs, `su` and `sudo` tell audit of themselves.

use super::fact::{SessionFact, SessionWhat};
use crate::source::audit::fields::{Pair, Quote, pairs};
use saigen_schemas::event::Outcome;

/// Audit's own record of a change of its configuration.
pub const CONFIG_CHANGE: u16 = 1305;

const USER_AUTH: u16 = 1100;
const USER_START: u16 = 1105;
const USER_END: u16 = 1106;
const USER_LOGIN: u16 = 1112;
const USER_CMD: u16 = 1123;

/// Programs whose sessions are a change of identity and no login.
const SWITCHES: [&[u8]; 6] = [b"su", b"sudo", b"runuser", b"pkexec", b"doas", b"sudo-rs"];

/// What a record tells of a session; `None` for records that tell nothing of one by themselves.
#[must_use]
pub fn session(kind: u16, text: &[u8]) -> Option<SessionFact> {
    let mut fact = SessionFact::default();
    for pair in pairs(text) {
        fact.outer(&pair);
    }
    for pair in pairs(text)
        .filter(|pair| pair.quote == Quote::Single)
        .flat_map(|pair| pairs(pair.value))
    {
        fact.inner(&pair);
    }
    let allowed = fact.outcome != Some(Outcome::Failure);
    let switches = SWITCHES.contains(&basename(&fact.program));
    // A login that succeeds is told twice, as USER_LOGIN and USER_START: the second is taken, since
    // every kind of login has it. One that fails has no USER_START.
    fact.what = match kind {
        USER_AUTH | USER_LOGIN if !allowed && !switches => SessionWhat::Refused,
        USER_AUTH if !allowed => SessionWhat::Switch,
        USER_START if allowed && switches => SessionWhat::Switch,
        USER_START if allowed => SessionWhat::Logon,
        USER_END if !switches => SessionWhat::Logoff,
        USER_CMD => SessionWhat::Switch,
        _ => return None,
    };
    Some(fact)
}

impl SessionFact {
    /// Pairs that the kernel vouches for.
    fn outer(&mut self, pair: &Pair<'_>) {
        match pair.name {
            b"uid" => self.uid = pair.word(),
            b"ses" => self.session = pair.word().filter(|session| *session != u32::MAX),
            _ => {}
        }
    }

    /// Pairs that the program wrote.
    fn inner(&mut self, pair: &Pair<'_>) {
        let text = |place: &mut Vec<u8>| {
            place.clear();
            pair.append_text(place);
        };
        match pair.name {
            b"op" => text(&mut self.operation),
            b"acct" => text(&mut self.account),
            b"exe" => text(&mut self.program),
            b"hostname" => text(&mut self.remote_host),
            b"terminal" => {
                self.terminal.clear();
                if pair.value != b"?" {
                    self.terminal.extend_from_slice(pair.value);
                }
            }
            b"cmd" => text(&mut self.command),
            b"id" => self.uid = pair.word().or(self.uid),
            b"addr" => {
                self.remote_ip = std::str::from_utf8(pair.value)
                    .ok()
                    .and_then(|address| address.parse().ok());
            }
            b"res" => {
                let done = matches!(pair.value, b"success" | b"1" | b"yes");
                self.outcome = Some(if done {
                    Outcome::Success
                } else {
                    Outcome::Failure
                });
            }
            _ => {}
        }
    }
}

fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &[u8] = b"pid=9 uid=0 auid=1000 ses=4 msg='op=PAM:session_open acct=\"ada\" \
        exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success'";

    #[test]
    fn a_login_names_account_and_origin() {
        let fact = session(USER_START, LOGIN).unwrap();
        assert_eq!(fact.what, SessionWhat::Logon);
        assert_eq!((&fact.account[..], fact.session), (&b"ada"[..], Some(4)));
        assert_eq!(fact.remote_ip, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(fact.terminal, b"ssh");
        assert!(
            session(USER_LOGIN, LOGIN).is_none(),
            "told by USER_START already"
        );
    }

    #[test]
    fn refusals_and_switches_are_told_apart() {
        let failed = String::from_utf8(LOGIN.to_vec())
            .unwrap()
            .replace("success", "failed");
        assert_eq!(
            session(USER_LOGIN, failed.as_bytes()).unwrap().what,
            SessionWhat::Refused
        );
        let by_su = failed.replace("/usr/sbin/sshd", "/usr/bin/su");
        assert_eq!(
            session(USER_AUTH, by_su.as_bytes()).unwrap().what,
            SessionWhat::Switch
        );
        let sudo =
            b"pid=9 uid=1000 auid=1000 ses=4 msg='cwd=\"/\" cmd=6C73202D6C exe=\"/usr/bin/sudo\" \
            terminal=pts/0 res=success'";
        let fact = session(USER_CMD, sudo).unwrap();
        assert_eq!(
            (fact.what, &fact.command[..]),
            (SessionWhat::Switch, &b"ls -l"[..])
        );
        assert_eq!(fact.terminal, b"pts/0");
    }

    #[test]
    fn other_records_are_no_sessions() {
        assert!(session(CONFIG_CHANGE, LOGIN).is_none());
        assert!(session(USER_LOGIN, b"").is_none());
    }
}
