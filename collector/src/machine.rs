//! The machine that is recorded: its name, its boot, its kernel.

use std::fs;
use std::io;

use saigen_schemas::event::BootId;

use crate::namespace;

/// What every event and every segment says of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name, as the recorded processes see it.
    pub host: String,
    /// Its boot.
    pub boot: BootId,
    /// Name, release and version of its kernel.
    pub kernel: String,
    /// The command line of its kernel.
    pub command_line: Vec<u8>,
    /// Its architecture, as `uname(2)` names it.
    pub architecture: String,
}

impl Machine {
    /// Reads it as process `pid` sees it (none: as we ourselves do).
    ///
    /// # Errors
    /// If the process is gone, or `/proc` is not there.
    pub fn read(pid: Option<u32>) -> io::Result<Self> {
        let name = || rustix::system::uname();
        let names = match pid {
            Some(pid) => namespace::in_names_of(pid, name)?,
            None => name(),
        };
        let text = |name: &std::ffi::CStr| String::from_utf8_lossy(name.to_bytes()).into_owned();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let boot = BootId::parse(boot.trim())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "boot_id is no identity"))?;
        // A hardened system may keep it to itself.
        let command_line = fs::read("/proc/cmdline").unwrap_or_default();
        Ok(Self {
            host: text(names.nodename()),
            boot,
            kernel: format!(
                "{} {} {}",
                text(names.sysname()),
                text(names.release()),
                text(names.version())
            ),
            command_line: command_line.trim_ascii_end().to_vec(),
            architecture: text(names.machine()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_a_boot() {
        let machine = Machine::read(None).unwrap();
        assert_ne!(machine.boot, BootId::default());
        assert!(!machine.host.is_empty());
        assert!(machine.kernel.starts_with("Linux "));
    }
}
