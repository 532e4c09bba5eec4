//! What is kept for the end of a process: its exit code and what its tasks used, until perf tells of it.

use super::{Codes, Normalizer, USED_MAX};
use crate::source::taskstats;
use std::collections::hash_map::Entry;

impl Normalizer {
    /// A task ended: its process has used so much more.
    pub(super) fn used(&mut self, ended: taskstats::Ended, at_us: u64) {
        match self.used.entry(ended.pid) {
            Entry::Occupied(mut used) => used.get_mut().1.add(ended.usage),
            Entry::Vacant(free) => {
                free.insert((at_us, ended.usage));
                self.used_order.push_back((at_us, ended.pid));
            }
        }
        if self.used_order.len() > USED_MAX
            && let Some((at_us, pid)) = self.used_order.pop_front()
            && self.used.get(&pid).is_some_and(|used| used.0 == at_us)
        {
            self.used.remove(&pid);
        }
        if self.settings.codes == Codes::Taskstats {
            self.codes.insert(ended.pid, (at_us, ended.code));
            self.code_order.push_back((at_us, ended.pid));
        }
    }

    pub(super) fn forget_codes(&mut self, now_us: u64) {
        while let Some(&(at_us, pid)) = self.code_order.front() {
            if at_us.saturating_add(10_000_000) > now_us {
                break;
            }
            self.code_order.pop_front();
            if self
                .codes
                .get(&pid)
                .is_some_and(|(code_us, _)| *code_us == at_us)
            {
                self.codes.remove(&pid);
            }
        }
    }
}
