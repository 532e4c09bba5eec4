//! A unit of systemd for the recorder, as narrow as its work allows.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the unit stands, unless said otherwise.
pub const UNIT: &str = "/etc/systemd/system/saigen-collector.service";

/// What the unit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The program.
    pub program: PathBuf,
    /// The directory below which each start makes a journal of its own.
    pub journals: PathBuf,
    /// The endpoint's key.
    pub key: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

/// Why no unit was written.
#[derive(Debug)]
pub enum InstallError {
    /// A file of that name exists.
    Exists(PathBuf),
    /// A path that a unit cannot name: not absolute, or with a character that systemd reads otherwise.
    Path(PathBuf),
    /// The system refused.
    Io(PathBuf, io::Error),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Exists(path) => write!(
                f,
                "{}: exists already; a unit is never written over, remove it first",
                path.display()
            ),
            InstallError::Path(path) => write!(
                f,
                "{}: a unit needs an absolute path without blanks, quotes, %, $ and \\",
                path.display()
            ),
            InstallError::Io(path, error) => {
                write!(f, "{}: cannot write the unit: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for InstallError {}

impl Service {
    /// The text of the unit.
    ///
    /// # Errors
    /// A path that no unit can name.
    pub fn unit(&self) -> Result<String, InstallError> {
        let mut arguments = format!(
            "{} record --below {}",
            plain(&self.program)?,
            plain(&self.journals)?
        );
        for (option, path) in [("--key", &self.key), ("--config", &self.config)] {
            if let Some(path) = path {
                arguments.push_str(&format!(" {option} {}", plain(path)?));
            }
        }
        let mut writable = vec![plain(&self.journals)?];
        if let Some(directory) = self.key.as_deref().and_then(Path::parent) {
            writable.push(plain(directory)?);
        }
        Ok(TEMPLATE
            .replace("@arguments@", &arguments)
            .replace("@writable@", &writable.join(" ")))
    }

    /// Writes the unit to `path`.
    ///
    /// # Errors
    /// A file is there already, a path cannot be named, or the system refuses.
    pub fn install(&self, path: &Path) -> Result<(), InstallError> {
        let text = self.unit()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map_err(|error| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    InstallError::Exists(path.to_owned())
                } else {
                    InstallError::Io(path.to_owned(), error)
                }
            })?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| InstallError::Io(path.to_owned(), error))
    }
}

/// A path as a unit can hold it without quoting.
fn plain(path: &Path) -> Result<&str, InstallError> {
    path.to_str()
        .filter(|_| path.is_absolute())
        .filter(|text| {
            !text.contains(|each: char| {
                each.is_whitespace() || each.is_control() || "\"'%$\\;".contains(each)
            })
        })
        .ok_or_else(|| InstallError::Path(path.to_owned()))
}

/// The unit. The recorder isolates itself when all is open; what stands here narrows the time before,
/// and what a taken-over recorder could write.
const TEMPLATE: &str = "\
[Unit]
Description=Forensic recorder
After=local-fs.target
Before=multi-user.target

[Service]
Type=notify
NotifyAccess=main
ExecStart=@arguments@
# Said after each whole round over all sources: one that hangs, or a disk that does not answer, is silence.
WatchdogSec=60s
Restart=on-failure
RestartSec=2s
KillSignal=SIGTERM
TimeoutStopSec=30s
# The recorder goes before nothing, and is the last to be ended for memory.
Nice=0
OOMScoreAdjust=-900
LimitMEMLOCK=infinity
LimitCORE=0
UMask=0077
CapabilityBoundingSet=CAP_PERFMON CAP_SYS_ADMIN CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_NET_ADMIN CAP_NET_RAW CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_SYS_CHROOT CAP_IPC_LOCK CAP_SETPCAP CAP_SYS_RESOURCE
NoNewPrivileges=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_NETLINK AF_PACKET AF_UNIX
# No mount namespace of its own: it must see mounts as everyone does. So what may be written is not
# narrowed here; these are the places that it needs: @writable@

[Install]
WantedBy=multi-user.target
";

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            program: "/usr/sbin/saigen-collector".into(),
            journals: "/var/lib/saigen".into(),
            key: Some("/etc/saigen/endpoint.key".into()),
            config: None,
        }
    }

    #[test]
    fn a_unit_runs_the_recorder_and_names_what_it_needs() {
        let unit = service().unit().unwrap();
        assert!(unit.contains(
            "ExecStart=/usr/sbin/saigen-collector record --below /var/lib/saigen --key /etc/saigen/endpoint.key\n"
        ));
        assert!(unit.contains("Type=notify\n") && unit.contains("\nWatchdogSec=60s\n"));
        assert!(unit.contains("/var/lib/saigen /etc/saigen\n"));
        assert!(!unit.contains('@'));
    }

    #[test]
    fn a_path_that_means_something_else_to_systemd_is_refused() {
        for bad in [
            "relative",
            "/with blank",
            "/per%cent",
            "/new\nline",
            "/do$lar",
        ] {
            let service = Service {
                journals: bad.into(),
                ..service()
            };
            assert!(service.unit().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_unit_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.service");
        service().install(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(
            service().install(&path),
            Err(InstallError::Exists(_))
        ));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
