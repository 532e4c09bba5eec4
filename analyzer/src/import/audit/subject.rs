//! Who made a system call: the fields that a `SYSCALL` record has of the process.

use crate::import::audit::parsed::{Record, decimal, hex, says_something, signed};
use crate::import::audit::syscalls::Syscalls;

/// A system call and the process that made it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call<'p> {
    /// Its name; empty for a number of no known table.
    pub(super) name: &'p [u8],
    /// Whether it was done; `None` for one that does not come back, as `exit_group`.
    pub(super) success: Option<bool>,
    /// What it returned.
    pub(super) exit: Option<i64>,
    /// The first four arguments.
    pub(super) args: [u64; 4],
    pub(super) subject: Subject<'p>,
}

/// A process, as a record describes it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subject<'p> {
    pub(super) pid: Option<u32>,
    pub(super) ppid: Option<u32>,
    pub(super) auid: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) euid: Option<u32>,
    pub(super) egid: Option<u32>,
    pub(super) session: Option<u64>,
    pub(super) tty: Option<&'p [u8]>,
    pub(super) comm: Option<&'p [u8]>,
    pub(super) exe: Option<&'p [u8]>,
    /// Name of the account of the effective user, where the record was interpreted.
    pub(super) account: Option<&'p [u8]>,
    /// Name of the account of the real user, where the record was interpreted.
    pub(super) real_account: Option<&'p [u8]>,
}

impl<'p> Subject<'p> {
    pub(super) fn of(record: Record<'p>) -> Self {
        let mut subject = Self::default();
        for (name, value) in record.pairs() {
            subject.take(name, value);
        }
        subject
    }

    fn take(&mut self, name: &[u8], value: &'p [u8]) {
        let word = || decimal(value).and_then(|number| u32::try_from(number).ok());
        let some = says_something(value).then_some(value);
        match name {
            b"pid" => self.pid = self.pid.or_else(word),
            b"ppid" => self.ppid = word(),
            b"auid" => self.auid = word(),
            b"uid" => {
                self.uid = word();
                // Interpreted by `ausearch -i`: names in place of numbers.
                self.real_account = some.filter(|_| self.uid.is_none());
            }
            b"gid" => self.gid = word(),
            b"euid" => {
                self.euid = word();
                self.account = some.filter(|_| self.euid.is_none()).or(self.account);
            }
            b"egid" => self.egid = word(),
            b"ses" => self.session = decimal(value),
            b"tty" => self.tty = some,
            b"comm" => self.comm = some,
            b"exe" => self.exe = some,
            b"EUID" | b"effective_user" => self.account = some.or(self.account),
            b"UID" | b"user" => self.real_account = some.or(self.real_account),
            _ => {}
        }
    }

    /// The image without what the kernel appends for a file that is gone.
    pub(super) fn image(&self) -> Option<&'p [u8]> {
        let exe = self.exe?;
        Some(exe.strip_suffix(b" (deleted)").unwrap_or(exe))
    }
}

impl<'p> Call<'p> {
    pub(super) fn of(record: Record<'p>, syscalls: &Syscalls) -> Self {
        let mut call = Self::default();
        let (mut arch, mut number) = (None, None);
        for (name, value) in record.pairs() {
            match name {
                b"arch" => arch = hex(value).and_then(|arch| u32::try_from(arch).ok()),
                b"syscall" => match decimal(value) {
                    Some(value) => number = u32::try_from(value).ok(),
                    None => call.name = value,
                },
                b"SYSCALL" => call.name = value,
                b"success" => {
                    call.success = match value {
                        b"yes" => Some(true),
                        b"no" => Some(false),
                        _ => None,
                    };
                }
                b"exit" => call.exit = signed(value),
                b"a0" => call.args[0] = hex(value).unwrap_or(0),
                b"a1" => call.args[1] = hex(value).unwrap_or(0),
                b"a2" => call.args[2] = hex(value).unwrap_or(0),
                b"a3" => call.args[3] = hex(value).unwrap_or(0),
                _ => call.subject.take(name, value),
            }
        }
        let by_number = arch
            .zip(number)
            .and_then(|(arch, number)| syscalls.name(arch, number));
        if let Some(name) = by_number {
            call.name = name.as_bytes();
        }
        call
    }

    /// Whether it was done.
    pub(super) fn is_done(&self) -> bool {
        self.success != Some(false)
    }

    /// An argument as a C `unsigned int`.
    pub(super) fn word(&self, index: usize) -> Option<u32> {
        u32::try_from(self.args.get(index)? & u64::from(u32::MAX)).ok()
    }
}
