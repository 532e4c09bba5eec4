//! Values of the event model as rules compare them: texts, numbers, hashes, accounts, command lines.

use std::borrow::Cow;
use std::net::IpAddr;

use saigen_schemas::event::{Args, Change, Hash32, Text, Value as Held};

use crate::detect::Value;
use crate::detect::facts::ProcessFacts;

pub(super) fn text(text: Option<Text<'_>>) -> Option<Value<'_>> {
    text.map(|text| Value::Text(text.lossy()))
}

pub(super) fn owned(text: String) -> Value<'static> {
    Value::Text(Cow::Owned(text))
}

pub(super) fn narrow(number: u32) -> Value<'static> {
    Value::Number(i64::from(number))
}

pub(super) fn number(number: u64) -> Option<Value<'static>> {
    i64::try_from(number).ok().map(Value::Number)
}

pub(super) fn hex(hash: Hash32) -> Value<'static> {
    owned(hash.to_string())
}

/// A field of the event model as rules compare it.
pub(super) fn held(value: Held<'_>) -> Option<Value<'_>> {
    match value {
        Held::Unsigned(value) => number(value),
        Held::Signed(value) => Some(Value::Number(value)),
        Held::Text(value) => Some(Value::Text(value.lossy())),
        Held::Args(value) => Some(owned(spaced(value))),
        Held::Process(key) => Some(Value::Number(i64::from(key.pid))),
        Held::Ip(ip) => Some(address(ip)),
        Held::Hash(hash) => Some(hex(hash)),
        Held::Guid(guid) => Some(owned(format!("{{{guid}}}"))),
        Held::Word(word) => Some(Value::text(word)),
    }
}

/// An address as rules write it: IPv4 within IPv6 as IPv4.
fn address(ip: IpAddr) -> Value<'static> {
    owned(ip.to_canonical().to_string())
}

pub(super) fn mode_bits(value: Held<'_>) -> u64 {
    if let Held::Unsigned(mode) = value {
        mode
    } else {
        0
    }
}

/// Arguments with one space between them and no quotes, as Sysmon and audit's tools show a command
/// line and rules expect it.
pub(super) fn spaced(args: Args<'_>) -> String {
    joined(args, " ")
}

pub(super) fn joined(args: Args<'_>, between: &str) -> String {
    let mut line = String::with_capacity(args.0.len());
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            line.push_str(between);
        }
        line.push_str(&arg.lossy());
    }
    line
}

pub(super) fn user(account: Option<Text<'_>>, uid: Option<u32>) -> Option<Value<'_>> {
    match (account, uid) {
        (Some(account), _) => Some(Value::Text(account.lossy())),
        (None, Some(0)) => Some(Value::text("root")),
        (None, uid) => uid.map(|uid| owned(uid.to_string())),
    }
}

pub(super) fn user_of<'v>(facts: &ProcessFacts<'v>) -> Option<Value<'v>> {
    user(facts.account, facts.euid.or(facts.uid))
}

/// Hashes as Sysmon writes them: `SHA256=…`, with what a log gave before it.
pub(super) fn hashes(sha256: Option<Hash32>, others: Option<Text<'_>>) -> Option<Value<'_>> {
    match (sha256, others) {
        (None, others) => text(others),
        (Some(sha256), None) => Some(owned(format!("SHA256={sha256}"))),
        // A log's own list mostly has it already.
        (Some(_), Some(others)) if lists_sha256(others) => text(Some(others)),
        (Some(sha256), Some(others)) => Some(owned(format!("{},SHA256={sha256}", others.lossy()))),
    }
}

fn lists_sha256(hashes: Text<'_>) -> bool {
    hashes
        .0
        .windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"SHA256="))
}

pub(super) fn version<'v>(parts: Option<Args<'v>>, index: usize) -> Option<Value<'v>> {
    parts?
        .iter()
        .nth(index)
        .map(|part| Value::Text(part.lossy()))
}

pub(super) const fn registry_word(change: Change) -> &'static str {
    match change {
        Change::Created => "CreateKey",
        Change::Deleted => "DeleteKey",
        Change::Renamed => "RenameKey",
        Change::Set | Change::Started | Change::Stopped | Change::Ran => "SetValue",
    }
}
