//! Windows records as winlogbeat ships them: under `winlog` since version 7 (also with dotted names, as
//! search engines export them), on the first level before.

use crate::import::json::tree::Value;
use crate::import::json::{Work, leaves};
use crate::import::windows::value::{moment, number};
use crate::import::windows::{Part, Record, read_message};

/// Fields of the record itself, by the path before their name.
const FIELDS: [&[u8]; 4] = [
    b"winlog.event_data.",
    b"winlog.user_data.",
    b"event_data.",
    b"user_data.",
];

/// Fills the record from an object.
pub(super) fn fill(object: Value<'_>, work: &mut Work) {
    let Work { record, path, .. } = work;
    record.clear();
    path.clear();
    let mut host = None;
    leaves(object, path, &mut |path, value| {
        if let Some(name) = FIELDS.iter().find_map(|before| path.strip_prefix(*before)) {
            // Classic records have no names: the shipper numbers them.
            let name = match name.strip_prefix(b"param") {
                Some(_) if is_classic(object) => b"Data",
                Some(_) | None => name,
            };
            record.push_with(name, |out| value.write(out));
            return;
        }
        match path {
            b"winlog.channel" | b"log_name" => {
                record.set_with(Part::Channel, |out| value.write(out))
            }
            b"winlog.provider_name" | b"source_name" => {
                record.set_with(Part::Provider, |out| value.write(out));
            }
            b"winlog.computer_name" | b"computer_name" => {
                record.set_with(Part::Computer, |out| value.write(out));
            }
            b"winlog.event_id" | b"event_id" => record.event_id = id(value),
            b"event.code" => record.event_id = record.event_id.or_else(|| id(value)),
            b"winlog.record_id" | b"record_number" => record.record_id = number(value.raw()),
            b"winlog.process.pid" | b"process_id" => record.process_id = id(value),
            b"@timestamp" => record.time_us = moment(value.raw()),
            b"message" => record.set_with(Part::Message, |out| value.write(out)),
            b"host.name" | b"host.hostname" => host = Some(value),
            // The forwarder's own, and what the record says in other words already.
            _ if [&b"@metadata."[..], b"agent.", b"ecs.", b"beat."]
                .iter()
                .any(|before| path.starts_with(before)) => {}
            _ => record.push_head_with(path, |out| value.write(out)),
        }
    });
    // Before version 7 `user` is who wrote the record.
    if object.get("event_data").is_none() {
        from_ecs(record);
    }
    if record.computer().is_empty()
        && let Some(host) = host
    {
        record.set_with(Part::Computer, |out| host.write(out));
    }
    read_message(record);
}

/// Fields that the shipper's modules move to names of the Elastic Common Schema: event ids (none: all), path, own name.
const MOVED: &[(&[u32], &str, &str)] = &[
    (&[8, 10], "process.entity_id", "SourceProcessGUID"),
    (&[8, 10], "process.pid", "SourceProcessId"),
    (&[8, 10], "process.executable", "SourceImage"),
    (&[], "process.entity_id", "ProcessGuid"),
    (&[], "process.pid", "ProcessId"),
    (&[], "process.executable", "Image"),
    (&[], "process.command_line", "CommandLine"),
    (&[], "process.working_directory", "CurrentDirectory"),
    (&[], "process.parent.entity_id", "ParentProcessGuid"),
    (&[], "process.parent.pid", "ParentProcessId"),
    (&[], "process.parent.executable", "ParentImage"),
    (&[], "process.parent.command_line", "ParentCommandLine"),
    (&[], "process.pe.original_file_name", "OriginalFileName"),
    (&[], "process.pe.company", "Company"),
    (&[], "process.pe.product", "Product"),
    (&[], "process.pe.description", "Description"),
    (&[], "process.pe.file_version", "FileVersion"),
    (&[], "network.transport", "Protocol"),
    (&[], "source.ip", "SourceIp"),
    (&[], "source.port", "SourcePort"),
    (&[], "source.domain", "SourceHostname"),
    (&[], "destination.ip", "DestinationIp"),
    (&[], "destination.port", "DestinationPort"),
    (&[], "destination.domain", "DestinationHostname"),
    (&[6, 7], "file.path", "ImageLoaded"),
    (&[6, 7], "file.pe.original_file_name", "OriginalFileName"),
    (&[6, 7], "file.code_signature.subject_name", "Signature"),
    (&[6, 7], "file.code_signature.signed", "Signed"),
    (&[6, 7], "file.code_signature.status", "SignatureStatus"),
    (&[17, 18], "file.name", "PipeName"),
    (
        &[2, 11, 15, 23, 26, 27, 28, 29],
        "file.path",
        "TargetFilename",
    ),
    (&[12, 13, 14], "registry.path", "TargetObject"),
    (&[13], "registry.data.strings", "Details"),
    (&[22], "dns.question.name", "QueryName"),
    (&[22], "sysmon.dns.status", "QueryStatus"),
    (
        &[4104],
        "powershell.file.script_block_text",
        "ScriptBlockText",
    ),
    (&[4104], "powershell.file.script_block_id", "ScriptBlockId"),
    (&[4104], "powershell.sequence", "MessageNumber"),
    (&[4104], "powershell.total", "MessageTotal"),
    (&[4104], "file.path", "Path"),
];

/// Puts back under their own names what a module moved away. Of records that keep their fields nothing
/// is missing, and nothing is added.
fn from_ecs(record: &mut Record) {
    if !matches!(
        record.provider().0,
        b"Microsoft-Windows-Sysmon" | b"Microsoft-Windows-PowerShell"
    ) {
        return;
    }
    let id = record.event_id.unwrap_or(0);
    let find = |path: &str| {
        let mut head = record.head();
        head.find(|(name, _)| name.0 == path.as_bytes())
            .map(|(_, value)| value.0.to_vec())
    };
    let is_missing = |name: &str| record.get(name).is_none();
    let mut moved: Vec<(&str, Vec<u8>)> = MOVED
        .iter()
        .filter(|(ids, _, name)| (ids.is_empty() || ids.contains(&id)) && is_missing(name))
        .filter_map(|(_, path, name)| Some((*name, find(path)?)))
        .collect();
    if is_missing("User")
        && let Some(name) = find("user.name")
    {
        let domain = find("user.domain").unwrap_or_default();
        moved.push(("User", [&domain[..], b"\\", &name[..]].concat()));
    }
    if is_missing("Initiated")
        && let Some(direction) = find("network.direction")
    {
        let inbound = matches!(direction.as_slice(), b"inbound" | b"ingress");
        moved.push(("Initiated", if inbound { "false" } else { "true" }.into()));
    }
    if is_missing("Hashes") {
        let mut hashes = Vec::new();
        for of in ["process", "file"] {
            for (algorithm, path) in [
                ("SHA1", "hash.sha1"),
                ("MD5", "hash.md5"),
                ("SHA256", "hash.sha256"),
                ("IMPHASH", "pe.imphash"),
            ] {
                if let Some(hex) = find(&format!("{of}.{path}")) {
                    let between = if hashes.is_empty() { "" } else { "," };
                    hashes.extend_from_slice(format!("{between}{algorithm}=").as_bytes());
                    hashes.extend_from_slice(&hex);
                }
            }
            if !hashes.is_empty() {
                break;
            }
        }
        if !hashes.is_empty() {
            moved.push(("Hashes", hashes));
        }
    }
    for (name, value) in moved {
        record.push(name.as_bytes(), &value);
    }
}

fn id(value: Value<'_>) -> Option<u32> {
    u32::try_from(number(value.raw())?).ok()
}

/// Whether the record is of a provider whose data have no names.
fn is_classic(object: Value<'_>) -> bool {
    let provider = object
        .at_path(&["winlog", "provider_name"])
        .or_else(|| object.get("winlog.provider_name"))
        .or_else(|| object.get("source_name"));
    provider.is_some_and(|name| name.raw() == b"PowerShell")
}
