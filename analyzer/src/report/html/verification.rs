//! One page on how far evidence can be trusted, which an auditor can sign.

use std::io::{self, Write};

use askama::Template;
use saigen_schemas::report::{Evidence, Moment, Verdict};

use super::{filters, policy_hash, verdict_words};

const STYLE: &str = include_str!("../../../templates/verification.css");

/// Rows of a list on the page; the output for machines has all.
const SHOWN_MAX: usize = 200;

/// What the page says of one input.
#[derive(Debug)]
pub struct VerifiedInput {
    /// The input, as reports have it.
    pub evidence: Evidence,
    /// What was recorded: the system, or one command.
    pub scope: String,
    /// By which key, and what was checked.
    pub mode: String,
    /// From when to when seals hold, by the clock at sealing.
    pub trusted: Vec<(Moment, Moment)>,
    /// The anchor at its end.
    pub anchor: Option<String>,
    /// What a verification of this kind cannot find.
    pub unknown: Vec<String>,
}

impl VerifiedInput {
    fn words(&self) -> &'static str {
        verdict_words(self.evidence.verdict)
    }

    fn class(&self) -> &'static str {
        match self.evidence.verdict {
            Verdict::Intact | Verdict::Whole => "good",
            Verdict::OpenEnd | Verdict::Unsealed | Verdict::Unverified => "care",
            Verdict::CrashGap | Verdict::Incomplete | Verdict::Altered | Verdict::Damaged => "bad",
        }
    }
}

#[derive(Template)]
#[template(path = "verification.html")]
struct Page<'a> {
    inputs: &'a [VerifiedInput],
    tool: &'a str,
    command: &'a str,
    style: &'static str,
    style_hash: String,
}

/// Writes the page. `command` is what makes it again.
///
/// # Errors
/// Those of `out`.
pub fn write_verification(
    inputs: &[VerifiedInput],
    command: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let page = Page {
        inputs,
        tool: concat!("saigen ", env!("CARGO_PKG_VERSION")),
        command,
        style: STYLE,
        style_hash: policy_hash(STYLE),
    };
    page.write_into(out)
}
