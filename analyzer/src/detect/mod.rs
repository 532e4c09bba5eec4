//! Detection: rules in the Sigma language held against events.
//!
//! [`Engine`] is read once from rule texts and shared by all threads. [`Engine::evaluate`] says
//! which rules one event fits; [`Correlator`] takes these matches in the order of the evidence
//! and returns [`Detection`]s, those of rules over several events among them. An event is never
//! turned into another form to be matched: rules ask it for the fields that they name.

mod allow;
mod attack;
mod audit;
mod bounds;
mod channels;
mod correlate;
mod crew;
mod detection;
mod engine;
mod facts;
mod fields;
mod folder;
mod indicators;
mod link;
mod load;
mod mend;
mod pack;
mod route;
mod rule;
mod source;
mod subject;
mod values;
mod window;

pub use allow::{Exception, Suppression, read_exceptions};
pub use attack::{Level, Tactic, read_tags};
pub use correlate::{Correlator, Occasion};
pub use crew::{Feeder, hold_all};
pub use detection::{Detection, MatchedField};
pub use engine::{Engine, Match, RuleCounts};
pub use facts::{Context, ProcessFacts};
pub use folder::{Pack, RuleFolder, load_rules, read_folder, read_placeholders};
pub use indicators::{IndicatorKind, Indicators, ListFacts};
pub use mend::Placeholders;
pub use pack::built_in;
pub use rule::{Refusal, RuleInfo, RuleText};
pub use source::LogSource;
pub use subject::{Subject, Value};
