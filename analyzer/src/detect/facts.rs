//! What is known of the processes behind an event when rules are held against it.

use saigen_schemas::event::{Args, ProcessKey, Text};

use crate::replay::{Around, ProcessFacts as Known};

/// What is known of a process when an event is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts<'a> {
    /// Which process.
    pub key: ProcessKey,
    /// Path of the program that it runs.
    pub image: Option<Text<'a>>,
    /// Its arguments.
    pub args: Option<Args<'a>>,
    /// Its command line, where the evidence has one text instead of arguments.
    pub command_line: Option<Text<'a>>,
    /// Its working directory.
    pub cwd: Option<Text<'a>>,
    /// Name of its account.
    pub account: Option<Text<'a>>,
    /// Its real user id.
    pub uid: Option<u32>,
    /// Its effective user id.
    pub euid: Option<u32>,
    /// The user who logged in, through all later changes.
    pub login_uid: Option<u32>,
}

impl<'a> From<Known<'a>> for ProcessFacts<'a> {
    fn from(known: Known<'a>) -> Self {
        Self {
            key: known.key,
            image: known.image,
            args: known.args,
            command_line: known.command_line,
            cwd: known.cwd,
            account: known.account,
            uid: known.uid,
            euid: known.euid,
            login_uid: known.login_uid,
        }
    }
}

/// What is known around an event: the processes that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The event's actor. For `process.start` the process as it was before.
    pub actor: Option<ProcessFacts<'a>>,
    /// The actor's parent.
    pub parent: Option<ProcessFacts<'a>>,
}

impl<'a> From<Around<'a>> for Context<'a> {
    fn from(around: Around<'a>) -> Self {
        Self {
            actor: around.actor.map(ProcessFacts::from),
            parent: around.parent.map(ProcessFacts::from),
        }
    }
}
