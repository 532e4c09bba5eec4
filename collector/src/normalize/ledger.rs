//! The ledger: what each source counted and lost, so that a recording says how complete it is.

use crate::source::Feed;
use saigen_schemas::event::{Kind, RecordCompleteness, RecordLoss, Text};

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

/// All counts.
#[derive(Debug)]
pub struct Ledger {
    began_us: u64,
    lost: [Lost; Feed::ALL.len()],
    told: [Lost; Feed::ALL.len()],
    told_until_us: u64,
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
            told_until_us: now_us,
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

    /// Gives what was lost since the last call, a `record.loss` each.
    pub fn tell_losses(&mut self, now_us: u64, mut each: impl FnMut(Kind<'static>)) {
        for ((feed, lost), told) in Feed::ALL.into_iter().zip(&self.lost).zip(&mut self.told) {
            if lost == told {
                continue;
            }
            let records = lost.records.saturating_sub(told.records);
            each(Kind::RecordLoss(RecordLoss {
                name: Some(Text(name(feed).as_bytes())),
                count: (records > 0).then_some(records),
                from_us: Some(self.told_until_us),
                to_us: Some(now_us),
                detail: Some(Text(reason(feed, *lost, *told).as_bytes())),
            }));
            *told = *lost;
        }
        self.told_until_us = now_us;
    }

    /// Gives the counts of starts since the last call.
    pub fn tell_completeness(&mut self, now_us: u64) -> Kind<'static> {
        let kind = completeness(self.span, self.span_from_us, now_us);
        self.span = Starts::default();
        self.span_from_us = now_us;
        kind
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

/// The source's word in the journal.
fn name(feed: Feed) -> &'static str {
    match feed {
        Feed::Perf => "perf",
        Feed::Audit => "audit",
        Feed::ProcConnector => "proc_connector",
        Feed::Fanotify => "fanotify",
        Feed::SockDiag => "sock_diag",
    }
}

fn reason(feed: Feed, lost: Lost, told: Lost) -> &'static str {
    if lost.overruns != told.overruns {
        return "a buffer of the kernel ran over";
    }
    match feed {
        Feed::Perf => "a ring was full",
        Feed::Audit => "serials never came, or the kernel's queue was full",
        Feed::ProcConnector => "numbers of a CPU's notes are missing",
        Feed::Fanotify => "records could not be read",
        Feed::SockDiag => "notes of ended sockets are missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_once_with_its_span() {
        let mut ledger = Ledger::new(10);
        ledger.lost(Feed::Perf, 3);
        ledger.lost(Feed::Perf, 4);
        ledger.overrun(Feed::Audit, 1);
        let mut told = Vec::new();
        ledger.tell_losses(20, |kind| told.push(kind));
        let Kind::RecordLoss(perf) = told[0] else {
            panic!("a loss")
        };
        assert_eq!(
            (perf.count, perf.from_us, perf.to_us),
            (Some(7), Some(10), Some(20))
        );
        let Kind::RecordLoss(audit) = told[1] else {
            panic!("a loss")
        };
        assert_eq!(audit.count, None);
        ledger.tell_losses(30, |kind| told.push(kind));
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
