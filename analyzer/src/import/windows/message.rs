//! Fields from the text that Windows renders for readers, where a shipper left nothing else.
//!
//! English texts alone: others would need each language's templates. What a text says in words
//! (`Impersonation`) stands in words, where the record itself has a number (`%%1833`).

use crate::import::windows::record::Record;

/// Adds the fields that a record's message tells, if it has no others.
pub fn read_message(record: &mut Record) {
    if record.is_empty() && !record.message().is_empty() {
        tell(record);
    }
}

/// [`read_message`] for a record whose fields are its shipper's.
pub fn read_message_too(record: &mut Record) {
    if !record.message().is_empty() {
        tell(record);
    }
}

fn tell(record: &mut Record) {
    let message = record.message().0.to_vec();
    let id = record.event_id.unwrap_or(0);
    match record.provider().0 {
        b"Microsoft-Windows-Sysmon" => sysmon(&message, record),
        b"Microsoft-Windows-Security-Auditing" | b"Microsoft-Windows-Eventlog" => {
            sections(&message, id, record);
        }
        b"Microsoft-Windows-WMI-Activity" => semicolons(&message, record),
        b"PowerShell" => record.push(b"Data", &message),
        b"Microsoft-Windows-PowerShell" | b"PowerShellCore" => match id {
            4104 => script_block(&message, record),
            4103 => pipeline(&message, record),
            _ => {}
        },
        b"Service Control Manager" => match id {
            7045 => sections(&message, id, record),
            7036 => service_state(&message, record),
            _ => {}
        },
        _ => {}
    }
}

/// Sysmon writes `Name: value`, a line a field, under a title. A value may have lines of its own.
fn sysmon(message: &[u8], record: &mut Record) {
    let mut field: Option<(&[u8], Vec<u8>)> = None;
    // The first line is the title.
    for line in lines(message).skip(1) {
        match named(line) {
            Some((name, value)) => {
                if let Some((name, value)) = field.replace((name, value.to_vec())) {
                    record.push(name, &value);
                }
            }
            None => {
                if let Some((_, value)) = &mut field {
                    value.extend_from_slice(b"\r\n");
                    value.extend_from_slice(line);
                }
            }
        }
    }
    if let Some((name, value)) = field {
        record.push(name, &value);
    }
}

/// A line that begins with one word of letters and a colon. Paths have a backslash behind theirs.
fn named(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let word = name.len() > 1 && name.iter().all(u8::is_ascii_alphanumeric);
    let value = match rest.get(1..)? {
        [] => &[][..],
        [b' ', value @ ..] => value,
        _ => return None,
    };
    word.then_some((name, value))
}

/// Labels of rendered Security and service texts and the fields that they render: section (empty: any),
/// label, field.
const LABELS: &[(&str, &str, &str)] = &[
    ("Subject", "Security ID", "SubjectUserSid"),
    ("Subject", "Account Name", "SubjectUserName"),
    ("Subject", "Account Domain", "SubjectDomainName"),
    ("Subject", "Domain Name", "SubjectDomainName"),
    ("Subject", "Logon ID", "SubjectLogonId"),
    ("Creator Subject", "Security ID", "SubjectUserSid"),
    ("Creator Subject", "Account Name", "SubjectUserName"),
    ("Creator Subject", "Account Domain", "SubjectDomainName"),
    ("Creator Subject", "Logon ID", "SubjectLogonId"),
    ("Member", "Security ID", "MemberSid"),
    ("Member", "Account Name", "MemberName"),
    ("Group", "Security ID", "TargetSid"),
    ("Group", "Group Name", "TargetUserName"),
    ("Group", "Account Name", "TargetUserName"),
    ("Group", "Group Domain", "TargetDomainName"),
    ("Group", "Account Domain", "TargetDomainName"),
    ("Application Information", "Process ID", "ProcessID"),
    ("Application Information", "Application Name", "Application"),
    ("Target Server", "Target Server Name", "TargetServerName"),
    ("Target Server", "Additional Information", "TargetInfo"),
    // The sections of a logon, of a target account, of new credentials say it of the target.
    ("", "Security ID", "TargetUserSid"),
    ("", "User ID", "TargetSid"),
    ("", "Account Name", "TargetUserName"),
    ("", "Logon Account", "TargetUserName"),
    ("", "Account Domain", "TargetDomainName"),
    ("", "Supplied Realm Name", "TargetDomainName"),
    ("", "Logon ID", "TargetLogonId"),
    ("", "Logon GUID", "LogonGuid"),
    ("", "Logon Type", "LogonType"),
    ("", "New Process ID", "NewProcessId"),
    ("", "New Process Name", "NewProcessName"),
    ("", "Token Elevation Type", "TokenElevationType"),
    ("", "Mandatory Label", "MandatoryLabel"),
    ("", "Creator Process ID", "ProcessId"),
    ("", "Creator Process Name", "ParentProcessName"),
    ("", "Process Command Line", "CommandLine"),
    ("", "Process ID", "ProcessId"),
    ("", "Caller Process ID", "ProcessId"),
    ("", "Process Name", "ProcessName"),
    ("", "Caller Process Name", "ProcessName"),
    ("", "Exit Status", "Status"),
    ("", "Workstation Name", "WorkstationName"),
    ("", "Source Workstation", "Workstation"),
    ("", "Source Network Address", "IpAddress"),
    ("", "Network Address", "IpAddress"),
    ("", "Client Address", "IpAddress"),
    ("", "Client Port", "IpPort"),
    ("", "Port", "IpPort"),
    ("", "Logon Process", "LogonProcessName"),
    ("", "Authentication Package", "AuthenticationPackageName"),
    ("", "Package Name (NTLM only)", "LmPackageName"),
    ("", "Key Length", "KeyLength"),
    ("", "Failure Reason", "FailureReason"),
    ("", "Failure Code", "Status"),
    ("", "Result Code", "Status"),
    ("", "Error Code", "Status"),
    ("", "Status", "Status"),
    ("", "Sub Status", "SubStatus"),
    ("", "Privileges", "PrivilegeList"),
    ("", "Service Name", "ServiceName"),
    ("", "Service File Name", "ServiceFileName"),
    ("", "Service Type", "ServiceType"),
    ("", "Service Start Type", "ServiceStartType"),
    ("", "Service Account", "ServiceAccount"),
    ("", "Task Name", "TaskName"),
    ("", "Task Content", "TaskContent"),
    ("", "Task New Content", "TaskContentNew"),
    ("", "Object Server", "ObjectServer"),
    ("", "Object Type", "ObjectType"),
    ("", "Object Name", "ObjectName"),
    ("", "Object Value Name", "ObjectValueName"),
    ("", "Handle ID", "HandleId"),
    ("", "Operation Type", "OperationType"),
    ("", "Old Value", "OldValue"),
    ("", "New Value", "NewValue"),
    ("", "Accesses", "AccessList"),
    ("", "Access Mask", "AccessMask"),
    ("", "Properties", "Properties"),
    ("", "Share Name", "ShareName"),
    ("", "Share Path", "ShareLocalPath"),
    ("", "Relative Target Name", "RelativeTargetName"),
    ("", "Ticket Options", "TicketOptions"),
    ("", "Ticket Encryption Type", "TicketEncryptionType"),
    ("", "Pre-Authentication Type", "PreAuthType"),
    ("", "Direction", "Direction"),
    ("", "Destination Address", "DestAddress"),
    ("", "Destination Port", "DestPort"),
    ("", "Protocol", "Protocol"),
    ("", "Layer Name", "LayerName"),
];

/// Labels whose field depends on the event.
fn field_of(id: u32, section: &[u8], label: &[u8]) -> Option<&'static str> {
    match (id, label) {
        // The filtering platform names the ends, a logon or a share where it came from.
        (5152..=5159, b"Source Address") => return Some("SourceAddress"),
        (5152..=5159, b"Source Port") => return Some("SourcePort"),
        (_, b"Source Address") => return Some("IpAddress"),
        (_, b"Source Port") => return Some("IpPort"),
        (7045, b"Service File Name") => return Some("ImagePath"),
        (7045, b"Service Start Type") => return Some("StartType"),
        (7045, b"Service Account") => return Some("AccountName"),
        (4776, b"Authentication Package") => return Some("PackageName"),
        _ => {}
    }
    LABELS
        .iter()
        .find(|(within, name, _)| {
            name.as_bytes() == label && (within.is_empty() || within.as_bytes() == section)
        })
        .map(|(_, _, field)| *field)
}

/// Windows directions and what a text says instead.
fn number_of(field: &str, value: &[u8]) -> Option<&'static [u8]> {
    match (field, value) {
        ("Direction", b"Inbound") => Some(b"%%14592"),
        ("Direction", b"Outbound") => Some(b"%%14593"),
        _ => None,
    }
}

/// Sections end with a colon, labels stand in them behind a tab; a value without a label goes on with the
/// one before.
fn sections(message: &[u8], id: u32, record: &mut Record) {
    let mut section: &[u8] = b"";
    let mut field: Option<(&'static str, Vec<u8>)> = None;
    let mut keep = |field: Option<(&'static str, Vec<u8>)>| {
        if let Some((name, value)) = field {
            let value = number_of(name, &value).unwrap_or(&value);
            record.push(name.as_bytes(), value);
        }
    };
    for line in lines(message).skip(1) {
        // Behind an empty line comes another section, or an explanation.
        if line.trim_ascii().is_empty() {
            keep(field.take());
            continue;
        }
        let (label, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => line.split_at_checked(colon).unwrap_or((line, b"")),
            None => (&b""[..], line),
        };
        let is_label = label.len() < 40 && !label.is_empty();
        let name = is_label.then(|| label.trim_ascii());
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        match name.map(|name| (name, field_of(id, section, name))) {
            Some((_, Some(name))) if !value.is_empty() || line.starts_with(b"\t") => {
                keep(field.replace((name, value.to_vec())));
            }
            Some((name, _)) if value.is_empty() && !line.starts_with(b"\t") => {
                keep(field.take());
                section = name;
            }
            Some(_) | None => {
                let rest = line.trim_ascii();
                if let Some((_, value)) = &mut field {
                    value.extend_from_slice(b"\r\n\t\t\t");
                    value.extend_from_slice(rest);
                }
            }
        }
    }
    keep(field);
}

/// `Name = value; Name = value`.
fn semicolons(message: &[u8], record: &mut Record) {
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|window| window == b"; ");
        let (item, after) = match end {
            Some(end) => (rest.get(..end), rest.get(end + 2..)),
            None => (Some(rest), None),
        };
        if let Some(item) = item
            && let Some(at) = item.windows(3).position(|window| window == b" = ")
            && let (Some(name), Some(value)) = (item.get(..at), item.get(at + 3..))
            && name.iter().all(u8::is_ascii_alphanumeric)
        {
            record.push(name, value.trim_ascii());
        }
        rest = after.unwrap_or_default();
    }
}

/// `Creating Scriptblock text (1 of 2):`, the text, an empty line, `ScriptBlock ID: …`, `Path: …`.
fn script_block(message: &[u8], record: &mut Record) {
    let Some(title) = message.iter().position(|&byte| byte == b'\n') else {
        return;
    };
    let (title, body) = message
        .split_at_checked(title + 1)
        .unwrap_or((message, b""));
    let numbers = title
        .split(|byte| !byte.is_ascii_digit())
        .filter(|digits| !digits.is_empty());
    for (name, digits) in ["MessageNumber", "MessageTotal"].iter().zip(numbers) {
        record.push(name.as_bytes(), digits);
    }
    const MARK: &[u8] = b"ScriptBlock ID: ";
    let end = body
        .windows(MARK.len())
        .rposition(|window| window == MARK)
        .unwrap_or(body.len());
    let (text, tail) = body.split_at_checked(end).unwrap_or((body, b""));
    record.push(b"ScriptBlockText", text.trim_ascii_end());
    for line in lines(tail) {
        if let Some(id) = line.strip_prefix(MARK) {
            record.push(b"ScriptBlockId", id.trim_ascii());
        } else if let Some(path) = line.strip_prefix(b"Path: ") {
            record.push(b"Path", path.trim_ascii());
        }
    }
}

/// What was bound, then `Context:` and what stands around it.
fn pipeline(message: &[u8], record: &mut Record) {
    const MARK: &[u8] = b"Context:";
    let at = message
        .windows(MARK.len())
        .position(|window| window == MARK);
    let (payload, context) = match at {
        Some(at) => message.split_at_checked(at).unwrap_or((message, b"")),
        None => (message, &b""[..]),
    };
    record.push(b"Payload", payload.trim_ascii_end());
    let context = context.strip_prefix(MARK).unwrap_or(context);
    record.push(b"ContextInfo", context.trim_ascii_end());
}

/// `The NAME service entered the STATE state.`
fn service_state(message: &[u8], record: &mut Record) {
    let between = || {
        let text = std::str::from_utf8(message).ok()?.trim();
        let (name, state) = text
            .strip_prefix("The ")?
            .split_once(" service entered the ")?;
        Some((name, state.strip_suffix(" state.")?))
    };
    if let Some((name, state)) = between() {
        let (name, state) = (name.to_owned(), state.to_owned());
        record.push(b"param1", name.as_bytes());
        record.push(b"param2", state.as_bytes());
    }
}

fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::windows::Part;

    fn fields(provider: &str, id: u32, message: &str) -> Vec<(String, String)> {
        let mut record = Record::default();
        record.event_id = Some(id);
        record.set(Part::Provider, provider.as_bytes());
        record.set(Part::Message, message.as_bytes());
        read_message(&mut record);
        record
            .fields()
            .map(|(name, value)| (name.lossy().into_owned(), value.lossy().into_owned()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        expected.iter().map(own).collect()
    }

    #[test]
    fn sysmon_texts_become_fields() {
        let message = "Process Create:\r\nRuleName: \r\nProcessId: 12\r\nCommandLine: cmd /c a\r\nb \
                       C: x\r\nImage: C:\\x.exe";
        assert_eq!(
            fields("Microsoft-Windows-Sysmon", 1, message),
            pairs(&[
                ("RuleName", ""),
                ("ProcessId", "12"),
                ("CommandLine", "cmd /c a\r\nb C: x"),
                ("Image", "C:\\x.exe"),
            ])
        );
    }

    #[test]
    fn sections_tell_whose_account_it_is() {
        let message = "An account was successfully logged on.\r\n\r\nSubject:\r\n\tAccount \
                       Name:\t\tHOST$\r\n\tLogon ID:\t\t0x3E7\r\n\r\nLogon Type:\t\t\t3\r\n\r\nNew \
                       Logon:\r\n\tAccount Name:\t\tmarta\r\n\tLogon ID:\t\t0x99\r\n\r\nProcess \
                       Information:\r\n\tProcess ID:\t\t0x1f4\r\n\tProcess \
                       Name:\t\tC:\\a.exe\r\n\r\nNetwork Information:\r\n\tSource Network \
                       Address:\t203.0.113.9\r\n\tSource Port:\t\t50000\r\n\r\nThis event is \
                       generated when a logon session is created.";
        assert_eq!(
            fields("Microsoft-Windows-Security-Auditing", 4624, message),
            pairs(&[
                ("SubjectUserName", "HOST$"),
                ("SubjectLogonId", "0x3E7"),
                ("LogonType", "3"),
                ("TargetUserName", "marta"),
                ("TargetLogonId", "0x99"),
                ("ProcessId", "0x1f4"),
                ("ProcessName", "C:\\a.exe"),
                ("IpAddress", "203.0.113.9"),
                ("IpPort", "50000"),
            ])
        );
    }

    #[test]
    fn scripts_pipelines_services_and_wmi_are_read() {
        assert_eq!(
            fields(
                "Microsoft-Windows-PowerShell",
                4104,
                "Creating Scriptblock text (2 of 3):\r\nGet-Date\r\nx\r\n\r\nScriptBlock ID: \
                 ab\r\nPath: C:\\s.ps1",
            ),
            pairs(&[
                ("MessageNumber", "2"),
                ("MessageTotal", "3"),
                ("ScriptBlockText", "Get-Date\r\nx"),
                ("ScriptBlockId", "ab"),
                ("Path", "C:\\s.ps1"),
            ])
        );
        assert_eq!(
            fields(
                "Service Control Manager",
                7036,
                "The Print Spooler service entered the stopped state."
            ),
            pairs(&[("param1", "Print Spooler"), ("param2", "stopped")])
        );
        assert_eq!(
            fields(
                "Microsoft-Windows-WMI-Activity",
                5858,
                "Id = {0}; User = A\\b; Operation = Start X::Y - ROOT : SELECT 1; ResultCode = 0x1",
            ),
            pairs(&[
                ("Id", "{0}"),
                ("User", "A\\b"),
                ("Operation", "Start X::Y - ROOT : SELECT 1"),
                ("ResultCode", "0x1"),
            ])
        );
    }
}
