//! Order across CPUs: perf's rings are each in order, and what is released is in order over all.
//!
//! The thread that drains goes round all rings. A record that was not yet in its ring when a round
//! began has a later time than that moment; a record on its way into a ring just then is given one
//! more round. So all that is older than the beginning of the round before is complete.

/// Records that wait for their round.
#[derive(Debug, Default)]
pub struct Sorter {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Memory for what is left over, swapped with the above.
    spare: (Vec<u8>, Vec<Waiting>),
    round_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    time_ns: u64,
    start: usize,
    len: usize,
}

impl Sorter {
    /// Takes a record that happened at `time_ns`.
    pub fn push(&mut self, time_ns: u64, record: &[u8]) {
        self.waiting.push(Waiting {
            time_ns,
            start: self.bytes.len(),
            len: record.len(),
        });
        self.bytes.extend_from_slice(record);
    }

    /// A round that began at `began_ns`, by the records' clock, has ended. Gives every complete record
    /// to `each`, in order of time.
    pub fn round(&mut self, began_ns: u64, each: impl FnMut(&[u8])) {
        let complete_ns = self.round_ns;
        self.round_ns = began_ns;
        self.release(complete_ns, each);
    }

    /// Gives all records, complete or not: nothing more will come.
    pub fn finish(&mut self, each: impl FnMut(&[u8])) {
        self.release(u64::MAX, each);
    }

    /// How many records wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn release(&mut self, before_ns: u64, mut each: impl FnMut(&[u8])) {
        if self.waiting.is_empty() {
            return;
        }
        // Stable: records of one moment stay in the order in which their ring had them.
        self.waiting.sort_by_key(|waiting| waiting.time_ns);
        let complete = self
            .waiting
            .partition_point(|waiting| waiting.time_ns < before_ns);
        let (mut bytes, mut kept) = std::mem::take(&mut self.spare);
        bytes.clear();
        kept.clear();
        for (at, waiting) in self.waiting.iter().enumerate() {
            let Some(record) = self.bytes.get(waiting.start..waiting.start + waiting.len) else {
                continue;
            };
            if at < complete {
                each(record);
            } else {
                kept.push(Waiting {
                    start: bytes.len(),
                    ..*waiting
                });
                bytes.extend_from_slice(record);
            }
        }
        self.spare = (
            std::mem::replace(&mut self.bytes, bytes),
            std::mem::replace(&mut self.waiting, kept),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(sorter: &mut Sorter, began_ns: u64) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        sorter.round(began_ns, |record| all.push(record.to_vec()));
        all
    }

    #[test]
    fn records_of_two_rings_come_out_in_order_of_time() {
        let mut sorter = Sorter::default();
        for (time, record) in [(10, b"a"), (30, b"c"), (20, b"b"), (40, b"d")] {
            sorter.push(time, record);
        }
        assert!(
            released(&mut sorter, 25).is_empty(),
            "the first round completes nothing"
        );
        assert_eq!(released(&mut sorter, 50), [b"a", b"b"]);
        assert_eq!(sorter.waiting(), 2);
        sorter.push(45, b"e");
        assert_eq!(released(&mut sorter, 60), [b"c", b"d", b"e"]);
    }

    #[test]
    fn what_one_ring_had_first_stays_first_in_one_moment() {
        let mut sorter = Sorter::default();
        sorter.push(10, b"fork");
        sorter.push(10, b"exec");
        sorter.push(10, b"exit");
        let mut all = Vec::new();
        sorter.finish(|record| all.push(record.to_vec()));
        assert_eq!(all, [&b"fork"[..], b"exec", b"exit"]);
        assert_eq!(sorter.waiting(), 0);
    }
}
