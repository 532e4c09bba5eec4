//! Sysmon for Linux: the same records as Sysmon's, with what Linux means by some of their fields.
//!
//! `LogonId` is the login user id and `TerminalSessionId` the audit session. Fields of executables that
//! Linux has not (version, original file name) are `-`.

use saigen_schemas::event::{Kind, ProcessStart};

use crate::import::windows::sysmon;
use crate::import::windows::take::Taker;
use crate::import::windows::{Mapped, Row, value};

/// Which ids give which kind; the others of Sysmon do not come from Linux.
pub(super) const ROWS: &[Row] = &[
    (&[1], start),
    (&[3], sysmon::connection),
    (&[4], sysmon::state),
    (&[5], sysmon::exit),
    (&[9], sysmon::raw_read),
    (&[10], sysmon::process_opened),
    (&[11], sysmon::file_created),
    (&[16], sysmon::configuration),
    (&[23, 26], sysmon::file_deleted),
];

fn start<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let actor = sysmon::actor(fields)?;
    let hashes = fields.take("Hashes");
    let kind = ProcessStart {
        image: fields.take("Image"),
        command_line: fields.take("CommandLine"),
        cwd: fields.take("CurrentDirectory"),
        account: fields.take("User"),
        login_uid: fields.small("LogonId"),
        session: fields.number("TerminalSessionId"),
        sha256: hashes.and_then(|text| value::sha256(text.0)),
        hashes,
        parent: fields.process(&["ParentProcessGuid"], &["ParentProcessId"]),
        parent_image: fields.take("ParentImage"),
        parent_command_line: fields.take("ParentCommandLine"),
        ..ProcessStart::default()
    };
    Some(Mapped::by(actor, Kind::ProcessStart(kind)))
}
