//! The ledger: what each source counted and lost, so that a recording says how complete it is.

use crate::source::Feed;
use saigen_schemas::event::{Kind, RecordCompleteness, Text};

/// Counts of starts over one span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Starts {
    /// Told of by audit.
    pub audit: u64,
    /// Seen by perf.
    pub perf: u64,
    /// Told of by the connector.
    pub connector: u64,
    /// Written to the journal.
    pub recorded: u64,
    /// Of those, with whole arguments.
    pub whole: u64,
}

/// What a source lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lost {
    /// Counted records.
    records: u64,
    /// Times that a buffer ran over without a count.
    overruns: u64,
}

/// A loss to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The source, in the journal's word.
    pub name: &'static str,
    /// How many records; `None` where a buffer ran over and the kernel does not say.
    pub count: Option<u64>,
    /// Why.
    pub detail: &'static str,
}

/// All counts.
#[derive(Debug)]
pub struct Ledger {
    began_us: u64,
    lost: [Lost; Feed::ALL.len()],
    told: [Lost; Feed::ALL.len()],
    starts: Starts,
    span: Starts,
    span_from_us: u64,
}

impl Ledger {
    /// A ledger that begins now.
    #[must_use]
    pub fn new(now_us: u64) -> Ledger {
        Ledger {
            began_us: now_us,
            lost: Default::default(),
            told: Default::default(),
            starts: Starts::default(),
            span: Starts::default(),
            span_from_us: now_us,
        }
    }

    /// When the recording began, boot clock, microseconds.
    #[must_use]
    pub fn began_us(&self) -> u64 {
        self.began_us
    }

    /// A source lost so many records.
    pub fn lost(&mut self, feed: Feed, records: u64) {
        if let Some(lost) = self.lost.get_mut(feed.index()) {
            lost.records = lost.records.saturating_add(records);
        }
    }

    /// A source's counted losses are so many by now.
    pub fn lost_in_all(&mut self, feed: Feed, records: u64) {
        if let Some(lost) = self.lost.get_mut(feed.index()) {
            lost.records = lost.records.max(records);
        }
    }

    /// A source's buffer ran over so many times; what that cost is not known.
    pub fn overrun(&mut self, feed: Feed, times: u64) {
        if let Some(lost) = self.lost.get_mut(feed.index()) {
            lost.overruns = lost.overruns.saturating_add(times);
        }
    }

    /// A start was recorded.
    pub fn start(&mut self, seen: Starts) {
        for counts in [&mut self.starts, &mut self.span] {
            counts.audit += seen.audit;
            counts.perf += seen.perf;
            counts.connector += seen.connector;
            counts.recorded += seen.recorded;
            counts.whole += seen.whole;
        }
    }

    /// All counted losses so far.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost
            .iter()
            .fold(0_u64, |sum, lost| sum.saturating_add(lost.records))
    }

    /// All starts so far.
    #[must_use]
    pub fn starts(&self) -> Starts {
        self.starts
    }

    /// Gives what was lost since the last call.
    pub fn tell_losses(&mut self, mut each: impl FnMut(Loss)) {
        for ((feed, lost), told) in Feed::ALL.into_iter().zip(&self.lost).zip(&mut self.told) {
            if lost == told {
                continue;
            }
            let records = lost.records.saturating_sub(told.records);
            each(Loss {
                name: name(feed),
                count: (records > 0).then_some(records),
                detail: reason(feed, *lost, *told),
            });
            *told = *lost;
        }
    }

    /// Gives the counts of starts since the last call.
    pub fn tell_completeness(&mut self, now_us: u64) -> Kind<'static> {
        let kind = completeness(self.span, self.span_from_us, now_us);
        self.span = Starts::default();
        self.span_from_us = now_us;
        kind
    }

    /// Gives the counts of starts since the last call at the end; none if there was no call before, so
    /// that the span is the whole.
    pub fn tell_rest(&mut self, now_us: u64) -> Option<Kind<'static>> {
        (self.span_from_us != self.began_us).then(|| self.tell_completeness(now_us))
    }

    /// Gives the counts of starts over the whole recording.
    #[must_use]
    pub fn tell_all(&self, now_us: u64) -> Kind<'static> {
        completeness(self.starts, self.began_us, now_us)
    }
}

fn completeness(starts: Starts, from_us: u64, to_us: u64) -> Kind<'static> {
    Kind::RecordCompleteness(RecordCompleteness {
        what: Some(Text(b"process.start")),
        audit: Some(starts.audit),
        perf: Some(starts.perf),
        connector: Some(starts.connector),
        recorded: Some(starts.recorded),
        whole: Some(starts.whole),
        from_us: Some(from_us),
        to_us: Some(to_us),
    })
}

/// A source's word in the journal.
#[must_use]
pub fn name(feed: Feed) -> &'static str {
    match feed {
        Feed::Perf => "perf",
        Feed::Stacks => "perf_stacks",
        Feed::Audit => "audit",
        Feed::ProcConnector => "proc_connector",
        Feed::Fanotify => "fanotify",
        Feed::SockDiag => "sock_diag",
        Feed::Taskstats => "taskstats",
        Feed::Dns => "dns",
    }
}

fn reason(feed: Feed, lost: Lost, told: Lost) -> &'static str {
    if lost.overruns != told.overruns {
        return "a buffer of the kernel ran over";
    }
    match feed {
        Feed::Perf => "a ring was full",
        Feed::Stacks => {
            "a ring of stacks was full: environments are missing, and arguments where no other source gives them"
        }
        Feed::Audit => "serials never came, or the kernel's queue was full",
        Feed::ProcConnector => "numbers of a CPU's notes are missing",
        Feed::Fanotify => "records could not be read",
        Feed::SockDiag => "notes of ended sockets are missing",
        Feed::Taskstats => "what ended tasks used is missing",
        Feed::Dns => "answers of name servers are missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once() {
        let mut ledger = Ledger::new(10);
        ledger.lost(Feed::Perf, 3);
        ledger.lost(Feed::Perf, 4);
        ledger.overrun(Feed::Audit, 1);
        let mut told = Vec::new();
        ledger.tell_losses(|loss| told.push((loss.name, loss.count)));
        assert_eq!(told, [("perf", Some(7)), ("audit", None)]);
        ledger.tell_losses(|loss| told.push((loss.name, loss.count)));
        assert_eq!(told.len(), 2);
        assert_eq!(ledger.lost_total(), 7);
    }

    #[test]
    fn counts_of_a_span_add_up_to_all() {
        let mut ledger = Ledger::new(0);
        let seen = Starts {
            audit: 1,
            perf: 1,
            connector: 1,
            recorded: 1,
            whole: 1,
        };
        ledger.start(seen);
        let Kind::RecordCompleteness(first) = ledger.tell_completeness(5) else {
            panic!("counts")
        };
        ledger.start(Starts {
            audit: 0,
            whole: 0,
            ..seen
        });
        let Kind::RecordCompleteness(second) = ledger.tell_completeness(9) else {
            panic!("counts")
        };
        assert_eq!(
            (first.audit, second.audit, second.perf),
            (Some(1), Some(0), Some(1))
        );
        assert_eq!((second.from_us, second.to_us), (Some(5), Some(9)));
        let Kind::RecordCompleteness(all) = ledger.tell_all(9) else {
            panic!("counts")
        };
        assert_eq!(
            (all.recorded, all.whole, all.from_us),
            (Some(2), Some(1), Some(0))
        );
    }
}
