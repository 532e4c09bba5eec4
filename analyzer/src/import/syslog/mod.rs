//! Lines of a system log: `auth.log`, `secure`, `messages`, `syslog`, and what the journal exports.
//!
//! What login programs and cron say becomes events; every other line is kept as it is. The program
//! that wrote a line stands in `extra` as `program`, by which rules for its service find it.

mod head;
mod programs;

pub(in crate::import) use head::is_line;

use saigen_schemas::event::{
    BootId, Event, FieldsBuf, Kind, Marks, ProcessKey, RecordRaw, Source, Text, Time,
};
use saigen_schemas::report::FindingKind;

use crate::import::{At, Finding, ImportError, Sink};
use head::Stamp;

/// The year that stands for one that a log does not say: a leap year, so that it has every day.
const NO_YEAR: i64 = 1972;

/// A line, without its head.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::import) struct Entry<'l> {
    pub(in crate::import) wall_us: i64,
    pub(in crate::import) recorded_us: Option<i64>,
    pub(in crate::import) host: &'l [u8],
    pub(in crate::import) program: &'l [u8],
    pub(in crate::import) pid: Option<u32>,
    pub(in crate::import) text: &'l [u8],
}

/// Lines of one file, one after the other.
#[derive(Debug, Default)]
pub(in crate::import) struct Syslog {
    extra: FieldsBuf,
    /// Year of the last line that said one, and the month of the last line.
    year: Option<i64>,
    month: u8,
    /// Years that went by since the first line that said none.
    turned: i64,
    is_told: bool,
}

impl Syslog {
    /// Tells what a line says, if it is one of a system log: whether it is.
    pub(in crate::import) fn take(
        &mut self,
        line: &[u8],
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<bool, ImportError> {
        let Some(head) = head::read(line) else {
            return Ok(false);
        };
        let entry = Entry {
            wall_us: self.moment(head.stamp, at, sink),
            recorded_us: None,
            host: head.host,
            program: head.program,
            pid: head.pid,
            text: head.text,
        };
        self.tell(&entry, head.priority, at, sink)?;
        Ok(true)
    }

    /// Tells what a line says whose head was read from elsewhere.
    pub(in crate::import) fn tell(
        &mut self,
        entry: &Entry<'_>,
        priority: Option<u8>,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), ImportError> {
        let said = programs::read(entry);
        self.extra.clear();
        self.extra.push(b"program", entry.program);
        if let Some(pid) = entry.pid {
            self.extra.push(b"pid", pid.to_string().as_bytes());
        }
        if let Some(priority) = priority {
            self.extra
                .push(b"facility", (priority >> 3).to_string().as_bytes());
            self.extra
                .push(b"severity", (priority & 7).to_string().as_bytes());
        }
        for (name, value) in said.fields {
            self.extra.push(name.as_bytes(), value);
        }
        let kind = match said.kind {
            Some(kind) => {
                self.extra.push(b"message", entry.text);
                kind
            }
            None => Kind::RecordRaw(RecordRaw {
                channel: Some("syslog".into()),
                provider: (!entry.program.is_empty()).then_some(Text(entry.program)),
                message: Some(Text(entry.text)),
                ..RecordRaw::default()
            }),
        };
        let actor = entry.pid.filter(|&pid| pid != 0);
        sink.event(
            at,
            &Event {
                seq: 0,
                time: Time {
                    wall_us: entry.wall_us,
                    boot_us: None,
                },
                recorded_us: entry.recorded_us,
                host: Text(entry.host),
                boot: BootId::default(),
                source: Source::Syslog,
                actor: actor.map(|pid| ProcessKey::new(pid, 0)),
                marks: Marks::default(),
                extra: self.extra.as_fields(),
                kind,
            },
        )
    }

    /// The moment of a stamp. One without a year is of the year of the line before it; a month far
    /// earlier than the last is of the next year.
    fn moment(&mut self, stamp: Stamp, at: At, sink: &mut dyn Sink) -> i64 {
        match stamp {
            Stamp::Whole(us) => {
                self.year = Some(year_of(us));
                us
            }
            Stamp::Yearless { month, day, second } => {
                if self.month > month && self.month - month > 6 {
                    self.turned += 1;
                }
                self.month = month;
                if !self.is_told {
                    self.is_told = true;
                    sink.find(Finding::new(
                        FindingKind::Clock,
                        at,
                        "the lines have neither year nor zone: taken as UTC, and where no line of \
                         the file says the year, as 1972",
                    ));
                }
                let year = self.year.unwrap_or(NO_YEAR) + self.turned;
                let days = days_from_civil(year, month.into(), day.into());
                (days * 86_400 + i64::from(second)) * 1_000_000
            }
        }
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year of a moment: that whose first day is the last before it.
fn year_of(us: i64) -> i64 {
    let days = us.div_euclid(86_400_000_000);
    let near = 1970 + days.div_euclid(366);
    (near..near + 4)
        .rev()
        .find(|&year| days_from_civil(year, 1, 1) <= days)
        .unwrap_or(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{Told, mutate};
    use crate::import::text;

    fn told(text: &str) -> Told {
        Told::by(text::read, text.as_bytes())
    }

    #[test]
    fn years_of_moments() {
        for (us, year) in [
            (0, 1970),
            (951_782_400_000_000, 2000),
            (1_704_067_199_999_999, 2023),
            (1_704_067_200_000_000, 2024),
            (4_102_444_800_000_000, 2100),
        ] {
            assert_eq!(year_of(us), year, "{us}");
        }
    }

    #[test]
    fn logins_of_ssh_are_sessions() {
        let told = told(
            "2024-01-02T03:04:05Z web-1 sshd[9]: Accepted publickey for ada from 192.0.2.7 port 50022 ssh2: ED25519 SHA256:x\n\
             2024-01-02T03:04:06Z web-1 sshd[9]: Failed password for invalid user bob from 192.0.2.8 port 50023 ssh2\n\
             2024-01-02T03:04:07Z web-1 sshd[9]: pam_unix(sshd:session): session closed for user ada\n\
             2024-01-02T03:04:08Z web-1 sshd[9]: error in libcrypto\n",
        );
        let logon = told.one("session.logon");
        assert_eq!(
            (&logon["account"], &logon["method"]),
            (&"ada".into(), &"publickey".into())
        );
        assert_eq!(
            (&logon["remote_ip"], &logon["remote_port"]),
            (&"192.0.2.7".into(), &50022.into())
        );
        assert_eq!(logon["host"], "web-1");
        assert_eq!(logon["actor"]["pid"], 9);
        let failed = told.one("session.failed_logon");
        assert_eq!(
            (&failed["account"], &failed["reason"]),
            (&"bob".into(), &"invalid user".into())
        );
        assert_eq!(told.one("session.logoff")["account"], "ada");
        let raw = told.one("record.raw");
        assert_eq!(raw["message"], "error in libcrypto");
        assert_eq!(raw["fields"]["program"], "sshd");
    }

    #[test]
    fn switches_of_identity_and_jobs_are_told() {
        let told = told(
            "Jan  2 03:04:05 web-1 sudo:      ada : TTY=pts/0 ; PWD=/home/ada ; USER=root ; COMMAND=/usr/bin/id -u\n\
             Jan  2 03:04:06 web-1 sudo: bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/sh\n\
             Jan  2 03:04:07 web-1 su[5]: (to root) ada on pts/0\n\
             Jan  2 03:04:08 web-1 su[5]: FAILED SU (to root) bob on pts/1\n\
             Jan  2 03:04:09 web-1 CRON[6]: (root) CMD (run-parts /etc/cron.hourly)\n",
        );
        let switches: Vec<_> = told
            .of("session.privilege_switch")
            .iter()
            .map(|switch| {
                (
                    switch["account"].as_str().unwrap().to_owned(),
                    switch["to_account"].as_str().unwrap().to_owned(),
                    switch["outcome"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        let expected = [
            ("ada", "root", "success"),
            ("bob", "root", "failure"),
            ("ada", "root", "success"),
            ("bob", "root", "failure"),
        ];
        assert_eq!(
            switches,
            expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
        );
        let sudo = told.of("session.privilege_switch")[0];
        assert_eq!(sudo["command"], "/usr/bin/id -u");
        assert_eq!(sudo["fields"]["USER"], "root");
        let job = told.one("configuration.scheduled_task");
        assert_eq!(
            (&job["change"], &job["account"]),
            (&"ran".into(), &"root".into())
        );
        assert_eq!(job["command_line"], "run-parts /etc/cron.hourly");
    }

    #[test]
    fn a_log_without_years_says_so_and_goes_over_new_year() {
        let unsaid = told("Dec 31 23:59:59 h p: a\nJan  1 00:00:00 h p: b\n");
        let times: Vec<_> = unsaid
            .events
            .iter()
            .map(|event| event["time"].as_str().unwrap())
            .collect();
        assert_eq!(
            times,
            ["1972-12-31T23:59:59.000000Z", "1973-01-01T00:00:00.000000Z"]
        );
        assert_eq!(unsaid.findings.len(), 1);
        let said = told("2024-05-06T07:08:09Z h p: a\nMay  6 07:08:10 h p: b\n");
        assert_eq!(said.events[1]["time"], "2024-05-06T07:08:10.000000Z");
    }

    #[test]
    fn no_change_of_a_byte_is_a_panic() {
        let seed = b"<38>1 2024-01-02T03:04:05Z h sshd 7 - [a k=\"v\"] Accepted password for a from 192.0.2.1 port 2 ssh2\n\
            Jan  2 03:04:05 h sudo: a : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh\n\
            Jan  2 03:04:05 h su[3]: (to root) a on pts/0\nJan  2 03:04:05 h CRON[3]: (root) CMD (x)\n\
            Jan  2 03:04:05 h useradd[3]: new user: name=x, UID=0, GID=0\n";
        mutate(seed, 4000, |bytes, told| {
            text::read(&mut std::io::Cursor::new(bytes), told).unwrap();
        });
    }
}
