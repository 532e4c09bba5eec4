//! The kinds of events and their fields: the one table from which the structs, the journal's
//! columns, the names in JSON and the visitor come, by the macro of the module beside it.
//!
//! A kind's code and the order of its fields are the journal's format: fields are only ever
//! added at the end of a kind. `docs/EVENTS.md` maps each to ECS, OCSF and Sigma's names.

use std::net::IpAddr;

use crate::event::{
    Args, AutostartKind, Cell, Change, Class, Hash32, Namespace, Near, Outcome, ProcessKey,
    Protocol, SourceState, Text, Touch, Value,
};
use crate::journal::{TableBuilder, Tables, varint};

/// Most fields that a kind may have. It bounds the columns of a frame.
pub const FIELDS_MAX: usize = 32;

impl KindName {
    /// How its columns are stored, in the order of its fields.
    pub(crate) const fn classes(self) -> &'static [Class] {
        Kind::<'static>::classes_of(self)
    }
}

kinds! { 'a
    /// A program began to run in a process: a successful `execve(2)`, or a process created with
    /// an image of its own (Windows). The event's actor is the process that runs it.
    1 "process.start" ProcessStart<'a> {
        /// The process that created this one (fork), as the kernel or the log names it.
        parent: ProcessKey,
        /// Path of the program that runs, as the kernel resolved it.
        image: Text<'a>,
        /// Arguments, the first is the name by which it was called.
        args: Args<'a>,
        /// The command line where a source gives one text instead of arguments (Windows).
        command_line: Text<'a>,
        /// Working directory at the start.
        cwd: Text<'a>,
        /// Real user id.
        uid: u32,
        /// Real group id.
        gid: u32,
        /// Effective user id, after set-uid took effect.
        euid: u32,
        /// Effective group id.
        egid: u32,
        /// Login user id: who logged in, through all later changes (`auid` of audit).
        login_uid: u32,
        /// Login session id (`ses` of audit; Windows logon id).
        session: u64,
        /// Controlling terminal.
        tty: Text<'a>,
        /// Name of the account of `euid`, where the recorder or the log knew it.
        account: Text<'a>,
        /// Inode of the mount namespace, where it is not the recorder's own.
        mnt_ns: u64,
        /// Inode of the PID namespace, where it is not the recorder's own.
        pid_ns: u64,
        /// Container id, from the control group.
        container: Text<'a>,
        /// The script that an interpreter was started for by `#!`.
        script: Text<'a>,
        /// SHA-256 of the image's content.
        sha256: Hash32,
        /// Other hashes that a log gave, `ALGORITHM=hex,…`.
        hashes: Text<'a>,
        /// Device of the image, major in the upper 32 bits, minor in the lower.
        dev: u64,
        /// Inode of the image.
        inode: Near,
        /// Chosen environment variables, `NAME=value`, each ended by NUL.
        environment: Args<'a>,
        /// Image of the parent, where the log itself says it.
        parent_image: Text<'a>,
        /// Command line of the parent, where the log itself says it.
        parent_command_line: Text<'a>,
        /// Integrity level (Windows).
        integrity: Text<'a>,
        /// Original file name from the image's version resource (Windows).
        original_name: Text<'a>,
        /// Company, product and description from the version resource (Windows), each ended by NUL.
        version: Args<'a>,
    }
    /// A process was created as a copy of another. The actor is the new process.
    2 "process.fork" ProcessFork {
        /// The process that was copied.
        parent: ProcessKey,
    }
    /// A process ended. The actor is that process.
    3 "process.exit" ProcessExit {
        /// Exit code, if it ended by itself.
        code: u32,
        /// Signal, if one ended it.
        signal: u32,
        /// Time from its start to its end.
        run_us: u64,
        /// CPU time in user mode.
        user_us: u64,
        /// CPU time in the kernel.
        system_us: u64,
        /// Bytes that it caused to be read from storage.
        read_bytes: u64,
        /// Bytes that it caused to be written to storage.
        written_bytes: u64,
        /// Peak resident memory, in bytes.
        peak_bytes: u64,
    }
    /// A process changed its identity or capabilities.
    4 "process.credentials_changed" CredentialsChanged<'a> {
        /// System call that did it.
        call: Text<'a>,
        /// Real user id before.
        old_uid: u32,
        /// Real user id after.
        uid: u32,
        /// Effective user id before.
        old_euid: u32,
        /// Effective user id after.
        euid: u32,
        /// Real group id after.
        gid: u32,
        /// Effective group id after.
        egid: u32,
        /// Effective capabilities after, `capabilities(7)` as a bit set.
        capabilities: u64,
        /// Whether it was done.
        outcome: Outcome,
    }
    /// A process was traced or written into by the actor.
    5 "process.traced" ProcessTraced<'a> {
        /// The process that it was done to.
        target: ProcessKey,
        /// How.
        how: Touch,
        /// Image of the target, where the source says it.
        target_image: Text<'a>,
        /// Where a remote thread starts: module and function, or an address.
        start_place: Text<'a>,
        /// Whether it was done.
        outcome: Outcome,
    }
    /// The actor opened another process (Windows handles).
    6 "process.opened" ProcessOpened<'a> {
        /// The process that was opened.
        target: ProcessKey,
        /// Image of the target.
        target_image: Text<'a>,
        /// Access mask that was granted.
        access: u64,
        /// Call stack, as the source writes it.
        call_trace: Text<'a>,
    }
    /// A file came to be.
    7 "file.created" FileCreated<'a> {
        /// Its path.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device, major in the upper 32 bits.
        dev: u64,
        /// Its mode bits.
        mode: u32,
        /// Its creation time as the file system has it, UTC microseconds.
        created_us: i64,
        /// Hashes that a log gave.
        hashes: Text<'a>,
    }
    /// A file that was open for writing was closed.
    8 "file.written" FileWritten<'a> {
        /// Its path.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device.
        dev: u64,
        /// Its size then.
        size: u64,
        /// Its mode bits.
        mode: u32,
        /// SHA-256 of its content, where it was taken.
        sha256: Hash32,
    }
    /// A file has another path.
    9 "file.renamed" FileRenamed<'a> {
        /// The path before.
        path: Text<'a>,
        /// The path after.
        to: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device.
        dev: u64,
    }
    /// A file has a further name.
    10 "file.linked" FileLinked<'a> {
        /// The new name.
        path: Text<'a>,
        /// The path or text that it leads to.
        target: Text<'a>,
        /// Inode of the new name.
        inode: Near,
        /// Its device.
        dev: u64,
    }
    /// A name of a file was removed.
    11 "file.deleted" FileDeleted<'a> {
        /// The path that was removed.
        path: Text<'a>,
        /// The inode that it led to.
        inode: Near,
        /// Its device.
        dev: u64,
        /// Hashes that a log gave.
        hashes: Text<'a>,
        /// Where a log kept the content.
        archived: Text<'a>,
    }
    /// Mode, owner, times or extended attributes of a file changed.
    12 "file.attributes" FileAttributes<'a> {
        /// Its path.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device.
        dev: u64,
        /// Its mode bits afterwards.
        mode: u32,
        /// Its owner afterwards.
        uid: u32,
        /// Its group afterwards.
        gid: u32,
        /// Name of the extended attribute that was set or removed.
        xattr: Text<'a>,
        /// Its modification time afterwards, UTC microseconds.
        modified_us: i64,
        /// Its modification time before, where a log says it.
        old_modified_us: i64,
    }
    /// A file was mapped to be executed: a library, a driver, a module.
    13 "file.mapped" FileMapped<'a> {
        /// Its path.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device.
        dev: u64,
        /// SHA-256 of its content.
        sha256: Hash32,
        /// Other hashes that a log gave.
        hashes: Text<'a>,
        /// Who signed it, and whether that holds, as the log writes it.
        signature: Text<'a>,
    }
    /// A file without a name came to be in memory, `memfd_create(2)`.
    14 "file.memory" FileMemory<'a> {
        /// The name that it was given, for display only.
        name: Text<'a>,
        /// Its flags.
        flags: u64,
    }
    /// A watched file was opened for reading: credentials, keys.
    15 "file.read" FileRead<'a> {
        /// Its path.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
        /// Its device.
        dev: u64,
        /// Whether it was allowed.
        outcome: Outcome,
        /// Access that was asked for, where a log says it.
        access: u64,
    }
    /// The actor opened a connection, or tried to.
    16 "network.connected" NetworkConnected<'a> {
        /// Transport.
        protocol: Protocol,
        /// Address at this end.
        local_ip: IpAddr,
        /// Port at this end.
        local_port: u16,
        /// Address at the other end.
        remote_ip: IpAddr,
        /// Port at the other end.
        remote_port: u16,
        /// Path or name of a Unix socket.
        path: Text<'a>,
        /// Name of the other end, where the log says it.
        remote_host: Text<'a>,
        /// Whether it was made.
        outcome: Outcome,
        /// The kernel's cookie of the socket.
        cookie: Near,
    }
    /// The actor took a connection from elsewhere.
    17 "network.accepted" NetworkAccepted<'a> {
        /// Transport.
        protocol: Protocol,
        /// Address at this end.
        local_ip: IpAddr,
        /// Port at this end.
        local_port: u16,
        /// Address at the other end.
        remote_ip: IpAddr,
        /// Port at the other end.
        remote_port: u16,
        /// Path or name of a Unix socket.
        path: Text<'a>,
        /// Name of the other end, where the log says it.
        remote_host: Text<'a>,
        /// The kernel's cookie of the socket.
        cookie: Near,
    }
    /// The actor waits for connections or datagrams at an address.
    18 "network.listening" NetworkListening<'a> {
        /// Transport.
        protocol: Protocol,
        /// Address.
        local_ip: IpAddr,
        /// Port.
        local_port: u16,
        /// Path or name of a Unix socket.
        path: Text<'a>,
    }
    /// A flow ended.
    19 "network.closed" NetworkClosed {
        /// Transport.
        protocol: Protocol,
        /// Address at this end.
        local_ip: IpAddr,
        /// Port at this end.
        local_port: u16,
        /// Address at the other end.
        remote_ip: IpAddr,
        /// Port at the other end.
        remote_port: u16,
        /// Bytes sent from this end and acknowledged.
        sent_bytes: u64,
        /// Bytes received at this end.
        received_bytes: u64,
        /// Time from its start to its end.
        run_us: u64,
        /// The kernel's cookie of the socket.
        cookie: Near,
    }
    /// A name was resolved.
    20 "network.resolved" NetworkResolved<'a> {
        /// The name that was asked for.
        query: Text<'a>,
        /// The kind of record that was asked for: `A`, `AAAA`, `TXT`, …
        record: Text<'a>,
        /// The answers, each ended by NUL.
        answers: Args<'a>,
        /// Status or response code, as the source writes it.
        status: Text<'a>,
        /// The server that was asked.
        server_ip: IpAddr,
    }
    /// A session began.
    21 "session.logon" Logon<'a> {
        /// Account.
        account: Text<'a>,
        /// Domain of the account (Windows).
        domain: Text<'a>,
        /// User id, or a Windows security identifier's last part.
        uid: u32,
        /// Login session id.
        session: u64,
        /// Terminal.
        terminal: Text<'a>,
        /// Where from: address.
        remote_ip: IpAddr,
        /// Where from: port.
        remote_port: u16,
        /// Where from: name.
        remote_host: Text<'a>,
        /// Kind of logon: Windows' number, or the service on Linux.
        logon_type: Text<'a>,
        /// Program that let it in.
        program: Text<'a>,
        /// Authentication package or method.
        method: Text<'a>,
        /// Account that asked for it, where it is another.
        by_account: Text<'a>,
    }
    /// A session ended.
    22 "session.logoff" Logoff<'a> {
        /// Account.
        account: Text<'a>,
        /// User id.
        uid: u32,
        /// Login session id.
        session: u64,
        /// Terminal.
        terminal: Text<'a>,
        /// Program that reported it.
        program: Text<'a>,
    }
    /// A logon was refused.
    23 "session.failed_logon" FailedLogon<'a> {
        /// Account that was tried.
        account: Text<'a>,
        /// Domain of the account (Windows).
        domain: Text<'a>,
        /// Terminal.
        terminal: Text<'a>,
        /// Where from: address.
        remote_ip: IpAddr,
        /// Where from: name.
        remote_host: Text<'a>,
        /// Kind of logon.
        logon_type: Text<'a>,
        /// Program that refused it.
        program: Text<'a>,
        /// Why, as the source writes it.
        reason: Text<'a>,
    }
    /// Someone took on another identity by a program made for that: su, sudo, runas.
    24 "session.privilege_switch" PrivilegeSwitch<'a> {
        /// Account before.
        account: Text<'a>,
        /// Account after.
        to_account: Text<'a>,
        /// Program.
        program: Text<'a>,
        /// Command that was asked for.
        command: Text<'a>,
        /// Terminal.
        terminal: Text<'a>,
        /// Whether it was allowed.
        outcome: Outcome,
        /// Privileges that came with it (Windows).
        privileges: Text<'a>,
    }
    /// A module or driver was loaded into the kernel.
    25 "kernel.module_loaded" ModuleLoaded<'a> {
        /// Its name.
        name: Text<'a>,
        /// Its file.
        path: Text<'a>,
        /// Its arguments.
        arguments: Text<'a>,
        /// Hashes that a log gave.
        hashes: Text<'a>,
        /// Who signed it, as the log writes it.
        signature: Text<'a>,
        /// Whether it was loaded.
        outcome: Outcome,
    }
    /// A BPF program was loaded into, or removed from, the kernel.
    26 "kernel.bpf_loaded" BpfLoaded<'a> {
        /// Its name.
        name: Text<'a>,
        /// Its type, as `bpf(2)` numbers it.
        program_type: u32,
        /// The kernel's id of it.
        id: u64,
        /// Its tag, in hex.
        tag: Text<'a>,
        /// Whether it came or went.
        state: SourceState,
    }
    /// A file system was mounted or unmounted.
    27 "kernel.mounted" Mounted<'a> {
        /// What.
        device: Text<'a>,
        /// Where.
        path: Text<'a>,
        /// File system type.
        filesystem: Text<'a>,
        /// Options or flags.
        options: Text<'a>,
        /// Came or went.
        change: Change,
        /// Whether it was done.
        outcome: Outcome,
    }
    /// A process entered or made a namespace.
    28 "kernel.namespace_entered" NamespaceEntered<'a> {
        /// Which.
        namespace: Namespace,
        /// Its inode.
        inode: u64,
        /// System call that did it.
        call: Text<'a>,
    }
    /// A registry key or value changed (Windows).
    29 "configuration.registry" Registry<'a> {
        /// What was done.
        change: Change,
        /// Key, or key and value name, as the source writes it.
        path: Text<'a>,
        /// New content, or the new name.
        details: Text<'a>,
    }
    /// A service changed.
    30 "configuration.service" ServiceChange<'a> {
        /// What was done.
        change: Change,
        /// Its name.
        name: Text<'a>,
        /// What it runs.
        command_line: Text<'a>,
        /// The account it runs as.
        account: Text<'a>,
        /// How it starts.
        start: Text<'a>,
    }
    /// A driver was installed.
    31 "configuration.driver" DriverChange<'a> {
        /// What was done.
        change: Change,
        /// Its name.
        name: Text<'a>,
        /// Its file.
        path: Text<'a>,
        /// How it starts.
        start: Text<'a>,
    }
    /// A scheduled task changed or ran.
    32 "configuration.scheduled_task" ScheduledTask<'a> {
        /// What was done.
        change: Change,
        /// Its name.
        name: Text<'a>,
        /// What it runs.
        command_line: Text<'a>,
        /// The account it runs as.
        account: Text<'a>,
        /// Its definition, as the source gives it.
        content: Text<'a>,
        /// The process that it started.
        process: ProcessKey,
    }
    /// A WMI filter, consumer or binding changed (Windows).
    33 "configuration.wmi_subscription" WmiSubscription<'a> {
        /// What was done.
        change: Change,
        /// Filter, consumer or binding.
        item: Text<'a>,
        /// Its name.
        name: Text<'a>,
        /// Query or command.
        content: Text<'a>,
        /// Account.
        account: Text<'a>,
    }
    /// A piece of script, as an interpreter saw it.
    34 "script.block" ScriptBlock<'a> {
        /// Its text.
        text: Text<'a>,
        /// Its file.
        path: Text<'a>,
        /// Its number where one script comes in several events.
        part: u32,
        /// How many parts there are.
        parts: u32,
        /// The identity that the interpreter gave it.
        id: Text<'a>,
        /// Account.
        account: Text<'a>,
    }
    /// A named pipe was created or connected to.
    35 "script.pipe" Pipe<'a> {
        /// Its name.
        name: Text<'a>,
        /// Created, or connected to (`set`).
        change: Change,
    }
    /// A process that stood when recording began. The actor is that process.
    36 "state.process" StateProcess<'a> {
        /// Its parent.
        parent: ProcessKey,
        /// Path of its program.
        image: Text<'a>,
        /// Its arguments.
        args: Args<'a>,
        /// Working directory.
        cwd: Text<'a>,
        /// Name (`comm`).
        name: Text<'a>,
        /// Real user id.
        uid: u32,
        /// Effective user id.
        euid: u32,
        /// Real group id.
        gid: u32,
        /// Login user id.
        login_uid: u32,
        /// Login session id.
        session: u64,
        /// Controlling terminal.
        tty: Text<'a>,
        /// Account of `euid`.
        account: Text<'a>,
        /// Container id.
        container: Text<'a>,
        /// SHA-256 of the image's content.
        sha256: Hash32,
        /// When it started, UTC microseconds, where the key does not say it.
        started_us: i64,
    }
    /// A socket that stood when recording began. The actor is its owner.
    37 "state.socket" StateSocket<'a> {
        /// Transport.
        protocol: Protocol,
        /// Address at this end.
        local_ip: IpAddr,
        /// Port at this end.
        local_port: u16,
        /// Address at the other end; unknown for one that listens.
        remote_ip: IpAddr,
        /// Port at the other end.
        remote_port: u16,
        /// State: `listen`, `established`, …
        state: Text<'a>,
        /// Path of a Unix socket.
        path: Text<'a>,
        /// Its inode.
        inode: Near,
    }
    /// A kernel module that stood when recording began.
    38 "state.module" StateModule<'a> {
        /// Its name.
        name: Text<'a>,
        /// Its size in memory.
        size: u64,
    }
    /// An account that stood when recording began.
    39 "state.account" StateAccount<'a> {
        /// Its name.
        name: Text<'a>,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Home.
        home: Text<'a>,
        /// Shell.
        shell: Text<'a>,
    }
    /// Something that starts by itself, as it stood when recording began.
    40 "state.autostart" StateAutostart<'a> {
        /// What starts it.
        mechanism: AutostartKind,
        /// The file that says so.
        path: Text<'a>,
        /// What is started, where that is one line.
        command: Text<'a>,
        /// Account.
        account: Text<'a>,
        /// SHA-256 of the file.
        sha256: Hash32,
        /// When the file was last changed, UTC microseconds.
        modified_us: i64,
    }
    /// A source of events came or went.
    41 "record.source" RecordSource<'a> {
        /// Its name.
        name: Text<'a>,
        /// Came or went.
        state: SourceState,
        /// Why, and what is missed while it is away.
        detail: Text<'a>,
    }
    /// Events were lost before they could be recorded.
    42 "record.loss" RecordLoss<'a> {
        /// The source that lost them.
        name: Text<'a>,
        /// How many; unknown where a source says only that there was a loss.
        count: u64,
        /// Start of the span, boot clock.
        from_us: u64,
        /// End of the span, boot clock.
        to_us: u64,
        /// Why.
        detail: Text<'a>,
    }
    /// The wall clock was stepped.
    43 "record.clock_step" ClockStep {
        /// Wall minus boot clock before.
        old_offset_us: i64,
        /// Wall minus boot clock after.
        offset_us: i64,
    }
    /// The recording began in this boot, or goes on in another.
    44 "record.boot" RecordBoot<'a> {
        /// Kernel name and release.
        kernel: Text<'a>,
        /// The command line of the kernel.
        command_line: Text<'a>,
        /// Architecture.
        machine: Text<'a>,
    }
    /// The machine slept.
    45 "record.suspend" RecordSuspend {
        /// How long.
        run_us: u64,
    }
    /// What is recorded, from what, and how.
    46 "record.configuration" RecordConfiguration<'a> {
        /// Tool and version.
        tool: Text<'a>,
        /// Sources and settings, as JSON.
        content: Text<'a>,
        /// SHA-256 of that text.
        sha256: Hash32,
    }
    /// The recorder was alive.
    47 "record.heartbeat" RecordHeartbeat {
        /// Events lost so far, over all sources.
        lost: u64,
        /// CPU time that the recorder has used.
        cpu_us: u64,
        /// Its anonymous memory, in bytes.
        memory_bytes: u64,
    }
    /// A log was cleared.
    48 "record.log_cleared" LogCleared<'a> {
        /// Which.
        name: Text<'a>,
        /// By which account.
        account: Text<'a>,
    }
    /// Independent counts of the same thing over the same span.
    49 "record.completeness" RecordCompleteness<'a> {
        /// What was counted.
        what: Text<'a>,
        /// Counted by audit.
        audit: u64,
        /// Counted by perf.
        perf: u64,
        /// Counted by the process connector.
        connector: u64,
        /// Written to the journal.
        recorded: u64,
        /// Of those, with whole arguments.
        whole: u64,
        /// Start of the span, boot clock.
        from_us: u64,
        /// End of the span, boot clock.
        to_us: u64,
    }
    /// A foreign record that has no kind of its own; all it says stands in the extra fields.
    50 "record.raw" RecordRaw<'a> {
        /// The log or channel that it comes from.
        channel: Text<'a>,
        /// Who wrote it there.
        provider: Text<'a>,
        /// Its event id, in that provider's numbering.
        event_id: u64,
        /// Its number in the log.
        record_id: u64,
        /// Its text for readers.
        message: Text<'a>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_along_the_table_and_fit_the_frame_headers_bit_set() {
        assert!(
            KindName::ALL
                .windows(2)
                .all(|pair| pair[0].code() < pair[1].code())
        );
        for &kind in KindName::ALL {
            assert_eq!(KindName::from_code(kind.code()), Some(kind));
            assert_eq!(KindName::from_name(kind.as_str()), Some(kind));
            assert!(kind.code() < 64);
            assert!(kind.fields().len() <= FIELDS_MAX, "{kind:?}");
            // Names that JSON gives to every event.
            for common in [
                "ref",
                "seq",
                "time",
                "boot_us",
                "record_time",
                "kind",
                "host",
                "boot",
                "source",
                "actor",
                "had",
                "fields",
            ] {
                assert!(!kind.fields().contains(&common), "{kind:?} {common}");
            }
        }
        assert_eq!(KindName::from_code(63), None);
    }
}
