//! Baselines: what rules find in evidence that is known to be good.
//!
//! A rule that finds much in ordinary work says little when it fires again. A baseline says of each
//! rule in how many activities it fired; they count as those outside of an incident do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::detect::Detection;
use crate::graph::Graph;
use crate::reconstruct::activity::top_of;
use crate::reconstruct::seeds;
use crate::reconstruct::world::World;
use crate::reference::EventRef;

/// The form of the file.
const SCHEMA: &str = "saigen-baseline/1";

/// The longest file that is read: a baseline of all rules there are is far below.
pub const BASELINE_BYTES_MAX: u64 = 16 << 20;

/// What rules found in evidence that is known to be good, as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema: String,
    /// Events that were looked at.
    pub events: u64,
    /// Detections of any level.
    pub detections: u64,
    /// By a rule's id: in how many activities (requests, sessions, jobs) it fired.
    pub rules: BTreeMap<String, u32>,
}

impl Baseline {
    /// Counts over all detections on a graph of `events` events.
    #[must_use]
    pub fn of(graph: &Graph, detections: &[Detection<EventRef>], events: u64) -> Self {
        let world = World::new(graph);
        let mut activities: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for seed in seeds::gather(&world, detections) {
            let root = top_of(&world, seed.process).root;
            activities
                .entry(seed.rule.id.clone())
                .or_default()
                .insert(root);
        }
        let rules = activities
            .into_iter()
            .map(|(rule, roots)| (rule, u32::try_from(roots.len()).unwrap_or(u32::MAX)));
        Self {
            schema: SCHEMA.to_owned(),
            events,
            detections: detections.len() as u64,
            rules: rules.collect(),
        }
    }

    /// Reads a baseline from the text of its file.
    ///
    /// # Errors
    /// Where the text is no baseline of this form, with line and column.
    pub fn read(text: &str) -> Result<Self, String> {
        let baseline: Self =
            serde_json::from_str(text).map_err(|error| format!("not a baseline: {error}"))?;
        if baseline.schema != SCHEMA {
            return Err(format!(
                "a baseline of schema {SCHEMA} was expected, and {:?} found",
                baseline.schema
            ));
        }
        Ok(baseline)
    }

    /// In how many activities a rule fired.
    pub(super) fn activities(&self, rule: &str) -> u32 {
        self.rules.get(rule).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let baseline = Baseline {
            schema: SCHEMA.to_owned(),
            events: 7,
            detections: 3,
            rules: BTreeMap::from([("a".to_owned(), 2)]),
        };
        let text = serde_json::to_string(&baseline).expect("plain values");
        assert_eq!(Baseline::read(&text), Ok(baseline.clone()));
        assert_eq!((baseline.activities("a"), baseline.activities("b")), (2, 0));
    }

    #[test]
    fn what_is_no_baseline_is_refused() {
        for text in [
            "",
            "[]",
            "{\"schema\":\"saigen-baseline/1\"}",
            "{\"schema\":\"saigen-baseline/2\",\"events\":0,\"detections\":0,\"rules\":{}}",
            "{\"schema\":\"saigen-baseline/1\",\"events\":0,\"detections\":0,\"rules\":{\"a\":-1}}",
        ] {
            assert!(Baseline::read(text).is_err(), "{text}");
        }
    }
}
