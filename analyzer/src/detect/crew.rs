//! Events held against rules on all cores, with the result of one.
//!
//! Events borrow their texts from the stream that gives them, so they are copied in batches, with
//! what was known of their processes. Threads match the batches; what they found is taken back in
//! the order of the events, and only then counted. What is on its way is bounded, whatever the
//! evidence holds.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use saigen_schemas::event::{Args, Event, ProcessKey, Text, read_row, write_row};

use crate::detect::correlate::{Correlator, Occasion};
use crate::detect::engine::Match;
use crate::detect::{Context, Detection, Engine, ProcessFacts};

/// The most events in a batch: enough that handing it over costs little.
const BATCH_EVENTS: usize = 512;

/// The most bytes in a batch before it is handed over.
const BATCH_BYTES: usize = 512 << 10;

/// Batches on their way for each thread: one in work, one waiting.
const BATCHES_A_THREAD: usize = 2;

/// Holds the events that `feed` hands over against all rules, on this many threads beside the
/// caller's. `found` gets the detections in the order of the events, and the correlator at the
/// end tells what was quietened.
pub fn hold_all<'e, R, T>(
    engine: &'e Engine,
    threads: NonZeroUsize,
    found: &mut dyn FnMut(Detection<R>),
    feed: impl FnOnce(&mut Feeder<'_, 'e, R>) -> T,
) -> (T, Correlator<'e, R>)
where
    R: Copy + PartialEq + Send,
{
    let correlator = Correlator::new(engine);
    if threads.get() == 1 {
        let mut feeder = Feeder {
            engine,
            correlator,
            found,
            crew: None,
        };
        let value = feed(&mut feeder);
        return (value, feeder.correlator);
    }
    let (to_work, jobs) = channel::<Job<R>>();
    let (to_caller, done) = channel::<Done<R>>();
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            let to_caller = to_caller.clone();
            let jobs = &jobs;
            scope.spawn(move || work(engine, jobs, &to_caller));
        }
        drop(to_caller);
        let mut feeder = Feeder {
            engine,
            correlator,
            found,
            crew: Some(Crew {
                to_work,
                done,
                filling: Batch::default(),
                spare: Vec::new(),
                sent: 0,
                taken: 0,
                early: BTreeMap::new(),
                on_their_way_max: u64::try_from(threads.get() * BATCHES_A_THREAD)
                    .unwrap_or(u64::MAX),
            }),
        };
        let value = feed(&mut feeder);
        feeder.finish();
        (value, feeder.correlator)
    })
}

/// A batch with its number.
struct Job<R> {
    number: u64,
    batch: Batch<R>,
}

/// A batch that was held against the rules, with the events that matched, in their order.
struct Done<R> {
    job: Job<R>,
    matched: Vec<(Occasion<R>, Vec<Match>)>,
}

/// Takes events, one after the other.
pub struct Feeder<'f, 'e, R> {
    engine: &'e Engine,
    correlator: Correlator<'e, R>,
    found: &'f mut dyn FnMut(Detection<R>),
    /// `None`: the caller's thread does it all.
    crew: Option<Crew<R>>,
}

/// The threads, as the caller sees them.
struct Crew<R> {
    to_work: Sender<Job<R>>,
    done: Receiver<Done<R>>,
    filling: Batch<R>,
    spare: Vec<Batch<R>>,
    sent: u64,
    taken: u64,
    /// Batches that were done before one that comes before them.
    early: BTreeMap<u64, Done<R>>,
    on_their_way_max: u64,
}

impl<R: Copy + PartialEq + Send> Feeder<'_, '_, R> {
    /// Takes an event and what is known around it.
    pub fn take(&mut self, reference: R, event: &Event<'_>, context: &Context<'_>) {
        let Some(crew) = &mut self.crew else {
            let matches = self.engine.evaluate(event, context);
            if !matches.is_empty() {
                let occasion = occasion(reference, event);
                let found = self.correlator.observe(&occasion, &matches);
                found.into_iter().for_each(&mut *self.found);
            }
            return;
        };
        crew.filling.push(reference, event, context);
        if crew.filling.is_full() {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some(crew) = &mut self.crew else { return };
        let next = crew.spare.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut crew.filling, next);
        let job = Job {
            number: crew.sent,
            batch,
        };
        crew.sent += 1;
        // The threads go on until the sender is dropped.
        let _ = crew.to_work.send(job);
        while self.is_behind() {
            if !self.take_back() {
                return;
            }
        }
    }

    fn is_behind(&self) -> bool {
        self.crew
            .as_ref()
            .is_some_and(|crew| crew.sent - crew.taken >= crew.on_their_way_max)
    }

    /// Waits for a batch, and counts all that are next in order. False where no thread is left.
    fn take_back(&mut self) -> bool {
        let Some(crew) = &mut self.crew else {
            return false;
        };
        let Ok(done) = crew.done.recv() else {
            return false;
        };
        crew.early.insert(done.job.number, done);
        while let Some(done) = crew.early.remove(&crew.taken) {
            crew.taken += 1;
            for (occasion, matches) in &done.matched {
                let found = self.correlator.observe(occasion, matches);
                found.into_iter().for_each(&mut *self.found);
            }
            let mut batch = done.job.batch;
            batch.clear();
            crew.spare.push(batch);
        }
        true
    }

    fn finish(&mut self) {
        if self
            .crew
            .as_ref()
            .is_some_and(|crew| !crew.filling.is_empty())
        {
            self.hand_over();
        }
        while self
            .crew
            .as_ref()
            .is_some_and(|crew| crew.taken < crew.sent)
        {
            if !self.take_back() {
                break;
            }
        }
        // Without a sender the threads end.
        self.crew = None;
    }
}

fn occasion<R>(reference: R, event: &Event<'_>) -> Occasion<R> {
    Occasion {
        event: reference,
        time: event.time,
        host: event.host.lossy().into_owned(),
        process: event.actor,
    }
}

fn work<R: Copy>(engine: &Engine, jobs: &Mutex<Receiver<Job<R>>>, to_caller: &Sender<Done<R>>) {
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            // Another thread fell over; the caller hears of it.
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        // A thread that falls over gives its batch back first: the caller waits for it.
        let (matched, fallen) = match catch_unwind(AssertUnwindSafe(|| hold(engine, &job.batch))) {
            Ok(matched) => (matched, None),
            Err(cause) => (Vec::new(), Some(cause)),
        };
        let is_heard = to_caller.send(Done { job, matched }).is_ok();
        if let Some(cause) = fallen {
            resume_unwind(cause);
        }
        if !is_heard {
            return;
        }
    }
}

/// The events of a batch that match, in their order.
fn hold<R: Copy>(engine: &Engine, batch: &Batch<R>) -> Vec<(Occasion<R>, Vec<Match>)> {
    let mut matched = Vec::new();
    for item in &batch.items {
        let Some(event) = batch.bytes.get(item.row.clone()).and_then(read_row) else {
            continue;
        };
        let context = Context {
            actor: item.actor.as_ref().map(|facts| batch.facts(facts)),
            parent: item.parent.as_ref().map(|facts| batch.facts(facts)),
        };
        let matches = engine.evaluate(&event, &context);
        if !matches.is_empty() {
            matched.push((occasion(item.reference, &event), matches));
        }
    }
    matched
}

/// Copies of events and of what is known around them.
struct Batch<R> {
    bytes: Vec<u8>,
    items: Vec<Item<R>>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            items: Vec::new(),
        }
    }
}

struct Item<R> {
    reference: R,
    row: Range<usize>,
    actor: Option<FactsAt>,
    parent: Option<FactsAt>,
}

/// [`ProcessFacts`] whose texts lie in a batch.
struct FactsAt {
    key: ProcessKey,
    image: Option<Range<usize>>,
    args: Option<Range<usize>>,
    command_line: Option<Range<usize>>,
    cwd: Option<Range<usize>>,
    account: Option<Range<usize>>,
    uid: Option<u32>,
    euid: Option<u32>,
    login_uid: Option<u32>,
}

impl<R> Batch<R> {
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= BATCH_EVENTS || self.bytes.len() >= BATCH_BYTES
    }

    fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
        // One huge event must not keep its memory for ever.
        self.bytes.shrink_to(BATCH_BYTES * 2);
    }

    fn push(&mut self, reference: R, event: &Event<'_>, context: &Context<'_>) {
        let start = self.bytes.len();
        write_row(event, &mut self.bytes);
        let row = start..self.bytes.len();
        let actor = context.actor.as_ref().map(|facts| self.keep(facts));
        let parent = context.parent.as_ref().map(|facts| self.keep(facts));
        self.items.push(Item {
            reference,
            row,
            actor,
            parent,
        });
    }

    fn keep(&mut self, facts: &ProcessFacts<'_>) -> FactsAt {
        let mut text = |text: Option<&[u8]>| {
            text.map(|text| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(text);
                start..self.bytes.len()
            })
        };
        FactsAt {
            key: facts.key,
            image: text(facts.image.map(|image| image.0)),
            args: text(facts.args.map(|args| args.0)),
            command_line: text(facts.command_line.map(|line| line.0)),
            cwd: text(facts.cwd.map(|cwd| cwd.0)),
            account: text(facts.account.map(|account| account.0)),
            uid: facts.uid,
            euid: facts.euid,
            login_uid: facts.login_uid,
        }
    }

    fn facts(&self, at: &FactsAt) -> ProcessFacts<'_> {
        let bytes = |range: &Option<Range<usize>>| self.bytes.get(range.clone()?);
        ProcessFacts {
            key: at.key,
            image: bytes(&at.image).map(Text),
            args: bytes(&at.args).map(Args),
            command_line: bytes(&at.command_line).map(Text),
            cwd: bytes(&at.cwd).map(Text),
            account: bytes(&at.account).map(Text),
            uid: at.uid,
            euid: at.euid,
            login_uid: at.login_uid,
        }
    }
}
