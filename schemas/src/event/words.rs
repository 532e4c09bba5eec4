//! Closed vocabularies: each word has a code in the journal and a spelling in text.

/// Defines an enum whose variants have a fixed code (journal) and word (JSON, text).
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal $word:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every word, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code in the journal; it never changes its meaning.
            #[must_use]
            pub const fn code(self) -> u64 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The word of a code; `None` for a code that this version does not know.
            #[must_use]
            pub const fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The word as it stands in JSON and text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    /// Who reported an event.
    Source {
        /// The recorder itself: clocks, losses, its own state.
        Recorder = 1 "recorder",
        /// perf sideband records and tracepoints, `perf_event_open(2)`.
        Perf = 2 "perf",
        /// Linux audit.
        Audit = 3 "audit",
        /// `fanotify(7)`.
        Fanotify = 4 "fanotify",
        /// The kernel's process connector (netlink).
        ProcConnector = 5 "proc_connector",
        /// Taskstats at a task's exit (netlink).
        Taskstats = 6 "taskstats",
        /// `sock_diag(7)`.
        SockDiag = 7 "sock_diag",
        /// `/proc` and other files read by the recorder.
        Proc = 8 "proc",
        /// A packet socket (name resolution).
        Packet = 9 "packet",
        /// Login records, `utmp(5)`.
        Utmp = 10 "utmp",
        /// Several sources of one host agreed on one event; marks name what each gave.
        Joined = 11 "joined",
        /// Windows event log: Sysmon.
        Sysmon = 32 "sysmon",
        /// Windows event log: any other channel.
        Evtx = 33 "windows_event_log",
        /// Sysmon for Linux.
        SysmonLinux = 34 "sysmon_linux",
        /// Kunai.
        Kunai = 35 "kunai",
        /// Tetragon.
        Tetragon = 36 "tetragon",
        /// Falco or sysdig.
        Falco = 37 "falco",
        /// Auditbeat or another ECS shipper.
        Ecs = 38 "ecs",
        /// JSON of no known shape.
        Json = 39 "json",
        /// A line of a Linux system log.
        Syslog = 40 "syslog",
    }

    /// How a field was had.
    Had {
        /// Copied by the kernel at the moment of the event.
        Kernel = 1 "kernel",
        /// Read afterwards from a live system: it may belong to a later moment.
        Raced = 2 "raced",
        /// Put together from other events.
        Reconstructed = 3 "reconstructed",
        /// Cut: the source gave less than there was.
        Truncated = 4 "truncated",
        /// Taken over from a parent or an earlier event of the same process.
        Inherited = 5 "inherited",
        /// Recorded by a source that cannot give it exactly (a coarse clock, a merged event).
        Approximate = 6 "approximate",
    }

    /// How a process was touched by another.
    Touch {
        /// `ptrace(2)` attach or seize.
        Ptrace = 1 "ptrace",
        /// `process_vm_writev(2)` or a write to `/proc/PID/mem`.
        MemoryWrite = 2 "memory_write",
        /// A thread started in another process.
        RemoteThread = 3 "remote_thread",
        /// The image in memory was replaced (process tampering, hollowing).
        ImageReplaced = 4 "image_replaced",
        /// `process_vm_readv(2)`.
        MemoryRead = 5 "memory_read",
    }

    /// Transport of a flow.
    Protocol {
        /// TCP.
        Tcp = 1 "tcp",
        /// UDP.
        Udp = 2 "udp",
        /// A Unix domain socket.
        Unix = 3 "unix",
        /// ICMP, v4 or v6.
        Icmp = 4 "icmp",
        /// A raw or packet socket.
        Raw = 5 "raw",
        /// SCTP.
        Sctp = 6 "sctp",
        /// Netlink.
        Netlink = 7 "netlink",
        /// A vsock.
        Vsock = 8 "vsock",
    }

    /// What was done, or happened, to a configured thing.
    Change {
        /// It came to be.
        Created = 1 "created",
        /// Its content was set.
        Set = 2 "set",
        /// It was removed.
        Deleted = 3 "deleted",
        /// It has another name.
        Renamed = 4 "renamed",
        /// It was started.
        Started = 5 "started",
        /// It was stopped.
        Stopped = 6 "stopped",
        /// It ran.
        Ran = 7 "ran",
    }

    /// What kind of namespace.
    Namespace {
        /// Mounts.
        Mount = 1 "mnt",
        /// Host and domain name.
        Uts = 2 "uts",
        /// System V IPC and message queues.
        Ipc = 3 "ipc",
        /// Process ids.
        Pid = 4 "pid",
        /// Network.
        Net = 5 "net",
        /// Users.
        User = 6 "user",
        /// Control groups.
        Cgroup = 7 "cgroup",
        /// Clocks.
        Time = 8 "time",
    }

    /// How an operation ended, where a source reports attempts too.
    Outcome {
        /// It was done.
        Success = 1 "success",
        /// It was refused or failed.
        Failure = 2 "failure",
        /// It was begun and goes on (a connect that does not wait).
        InProgress = 3 "in_progress",
    }

    /// Whether a source came or went.
    SourceState {
        /// It gives events from here on.
        Up = 1 "up",
        /// It gives none from here on.
        Down = 2 "down",
    }

    /// What starts something by itself.
    AutostartKind {
        /// A cron table.
        Cron = 1 "cron",
        /// A systemd unit or timer.
        Systemd = 2 "systemd",
        /// A shell's start-up file.
        ShellProfile = 3 "shell_profile",
        /// An `authorized_keys` file.
        AuthorizedKeys = 4 "authorized_keys",
        /// `/etc/ld.so.preload`.
        LdPreload = 5 "ld_preload",
        /// An init or rc script.
        Init = 6 "init",
        /// An `at` job.
        At = 7 "at",
        /// A udev rule.
        Udev = 8 "udev",
        /// A desktop session's autostart entry.
        Desktop = 9 "desktop",
        /// A PAM configuration or module.
        Pam = 10 "pam",
        /// A Windows registry run key.
        RunKey = 11 "run_key",
        /// A Windows service.
        Service = 12 "service",
        /// A Windows scheduled task.
        ScheduledTask = 13 "scheduled_task",
    }
}
