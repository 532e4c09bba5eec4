//! The thread that drains: it goes round all sources and moves what stands there into batches.
//!
//! It does nothing else, so that nothing holds it up: no parsing, no file, no lock. Batches come from
//! a fixed pool; when the pool is empty the records wait in the kernel, which counts what it drops.

#![expect(unsafe_code, reason = "signalfd(2) and the mask of signals")]

use crate::clock::{self, Now};
use crate::source::{Batch, Drained, Feed, Source, SourceError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Batches in the pool: 4 MiB with what each holds.
const BATCHES: usize = 32;

/// How long a round may be waited for when something happens, and when nothing does.
const BUSY_WAIT: Duration = Duration::from_millis(50);
const IDLE_WAIT: Duration = Duration::from_millis(200);

/// The least time between two rounds. Records come in bursts; a wakeup for each would cost more than
/// all else that we do.
const ROUND_GAP: Duration = Duration::from_millis(20);

/// How long after its last word audit's own queue may still hold records.
const LAST_WORDS: Duration = Duration::from_millis(60);

/// What the thread that drains tells the one that encodes.
#[derive(Debug)]
pub enum Told {
    /// Something was drained.
    Batch(Batch),
    /// A round over all sources ended that began then; all that stood there by then was sent.
    Round(Now),
    /// A source failed and is closed.
    Down(Feed, SourceError),
    /// A signal for the process came.
    Signal(Signal),
    /// The last round ended.
    End,
}

/// Signals that the recorder waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
    /// `SIGHUP`.
    Hangup,
    /// `SIGCHLD`: the command changed its state.
    Child,
    /// `SIGUSR1`: `seal-off` wants the open segment closed.
    SealOff,
}

/// The running thread.
#[derive(Debug)]
pub struct Drain {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// What it tells.
    pub told: Receiver<Told>,
    pool: Sender<Batch>,
}

/// How soon sources are gone round after they have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// After a moment, in which more may come.
    Gathered,
    /// At once: `/proc` must be asked before the process is gone.
    AtOnce,
}

impl Drain {
    /// Starts the thread. Signals must have been blocked before by [`block_signals`].
    ///
    /// # Errors
    /// No thread, or no descriptor for signals, can be had.
    pub fn start(sources: Vec<Box<dyn Source>>, pace: Pace) -> io::Result<Drain> {
        let signals = signal_fd()?;
        let (tell, told) = sync_channel(2 * BATCHES);
        let (pool, free) = channel();
        for _ in 0..BATCHES {
            // The receiver is in our hands: it cannot be gone.
            let _ = pool.send(Batch::new());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Rounds {
            sources,
            signals,
            tell,
            free,
            stop: Arc::clone(&stop),
            pace,
            spare: None,
        };
        let thread = std::thread::Builder::new()
            .name("drain".to_owned())
            .stack_size(256 << 10)
            .spawn(move || rounds.run())?;
        Ok(Drain {
            thread: Some(thread),
            stop,
            told,
            pool,
        })
    }

    /// Gives a batch back to the pool.
    pub fn recycle(&self, mut batch: Batch) {
        batch.bytes.clear();
        batch.overruns = 0;
        // The thread is gone: then nobody needs it.
        let _ = self.pool.send(batch);
    }

    /// Asks the thread for its last rounds; [`Told::End`] follows them.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the thread, which closes the sources and puts back what they changed.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Rounds {
    sources: Vec<Box<dyn Source>>,
    signals: OwnedFd,
    tell: SyncSender<Told>,
    free: Receiver<Batch>,
    stop: Arc<AtomicBool>,
    pace: Pace,
    /// A batch that a source had nothing for.
    spare: Option<Batch>,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Something was there.
    Busy,
    /// Nothing was.
    Idle,
    /// The pool ran empty: some was left.
    Starved,
    /// Nobody listens any more.
    Unheard,
}

impl Rounds {
    fn run(mut self) {
        let mut last = Round::Busy;
        while !self.stop.load(Ordering::Relaxed) {
            let wait = if last == Round::Idle {
                IDLE_WAIT
            } else {
                BUSY_WAIT
            };
            self.wait(wait);
            last = self.round();
            if last == Round::Unheard {
                return;
            }
            if last == Round::Starved || self.pace == Pace::Gathered {
                std::thread::sleep(ROUND_GAP);
            }
        }
        std::thread::sleep(LAST_WORDS);
        // What the first of these finds is complete with the second.
        for _ in 0..2 {
            while self.round() == Round::Starved {
                std::thread::sleep(ROUND_GAP);
            }
        }
        let _ = self.tell.send(Told::End);
    }

    /// Waits until a source has something, a signal came, or the time is over.
    fn wait(&self, wait: Duration) {
        let mut fds: Vec<PollFd<'_>> = self
            .sources
            .iter()
            .map(|source| PollFd::from_borrowed_fd(source.fd(), PollFlags::IN))
            .chain([PollFd::new(&self.signals, PollFlags::IN)])
            .collect();
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        // An interrupted wait is a short one; a failing one still goes round.
        let _ = poll(&mut fds, Some(&wait));
    }

    fn round(&mut self) -> Round {
        let began = clock::now();
        let mut round = Round::Idle;
        let mut spare = self.spare.take();
        let mut at = 0;
        while at < self.sources.len() {
            let Some(source) = self.sources.get_mut(at) else {
                break;
            };
            let feed = source.feed();
            loop {
                let mut batch = match spare.take().map_or_else(|| self.free.try_recv(), Ok) {
                    Ok(batch) => batch,
                    Err(TryRecvError::Empty) => return Round::Starved,
                    Err(TryRecvError::Disconnected) => return Round::Unheard,
                };
                batch.feed = feed;
                batch.drained_us = clock::boot_us();
                let drained = source.drain(&mut batch);
                batch.drained_us = clock::boot_us();
                if batch.bytes.is_empty() && batch.overruns == 0 {
                    spare = Some(batch);
                } else {
                    round = Round::Busy;
                    if self.tell.send(Told::Batch(batch)).is_err() {
                        return Round::Unheard;
                    }
                }
                match drained {
                    Ok(Drained::More) => {}
                    Ok(Drained::Empty) => {
                        at += 1;
                        break;
                    }
                    Err(error) => {
                        drop(self.sources.remove(at));
                        if self.tell.send(Told::Down(feed, error)).is_err() {
                            return Round::Unheard;
                        }
                        break;
                    }
                }
            }
        }
        self.spare = spare;
        while let Some(signal) = self.signal() {
            if self.tell.send(Told::Signal(signal)).is_err() {
                return Round::Unheard;
            }
        }
        match self.tell.send(Told::Round(began)) {
            Ok(()) => round,
            Err(_) => Round::Unheard,
        }
    }

    /// The next signal that came.
    fn signal(&self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        let read = rustix::io::read(&self.signals, &mut info).ok()?;
        let number = crate::source::native::u32_at(info.get(..read)?, 0)?;
        match i32::try_from(number).ok()? {
            libc::SIGINT => Some(Signal::Interrupt),
            libc::SIGTERM => Some(Signal::Terminate),
            libc::SIGHUP => Some(Signal::Hangup),
            libc::SIGCHLD => Some(Signal::Child),
            libc::SIGUSR1 => Some(Signal::SealOff),
            _ => None,
        }
    }
}

/// The signals that are read from a descriptor.
const SIGNALS: [libc::c_int; 5] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGCHLD,
    libc::SIGUSR1,
];

fn signal_set() -> libc::sigset_t {
    // SAFETY: all zeroes is a valid `sigset_t`, and `sigemptyset` writes only to it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in SIGNALS {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks the recorder's signals, in this thread and those that it starts: they wait to be read.
pub fn block_signals() {
    let set = signal_set();
    // SAFETY: the set is whole; no old mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Lets the recorder's signals through again. It is called between fork and exec, and is safe there.
pub fn unblock_signals() {
    let set = signal_set();
    // SAFETY: as in `block_signals`; `pthread_sigmask` is async-signal-safe.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

fn signal_fd() -> io::Result<OwnedFd> {
    let set = signal_set();
    // SAFETY: a new descriptor is asked for; the set is whole.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds")
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}
