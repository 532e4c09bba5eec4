//! The parts of a file, worked on by several threads and given back in their order, so that the
//! number of threads changes nothing but the time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::import::ImportError;

/// Cuts, works and gives back: `work` runs on several threads, each with what `begin` made for it;
/// `give` gets results in the order of the parts. A bounded number of parts is under way.
///
/// # Errors
/// The first error, in the order of the parts. What comes before it was given.
pub(super) fn in_order<P: Send, W, R: Send>(
    threads: usize,
    parts: impl Iterator<Item = Result<P, ImportError>>,
    begin: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, P) -> Result<R, ImportError> + Sync,
    mut give: impl FnMut(R) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut parts = parts.peekable();
    let Some(first) = parts.next() else {
        return Ok(());
    };
    // A file of one part is not worth a thread.
    if threads < 2 || parts.peek().is_none() {
        let mut worker = begin();
        for part in std::iter::once(first).chain(parts) {
            give(work(&mut worker, part?)?)?;
        }
        return Ok(());
    }
    let (to_work, inbox) = sync_channel::<(u64, P)>(threads);
    let inbox = Mutex::new(inbox);
    let (done, results) = sync_channel::<(u64, Result<R, ImportError>)>(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let done = done.clone();
            let (inbox, begin, work) = (&inbox, &begin, &work);
            scope.spawn(move || labour(inbox, &done, begin(), work));
        }
        drop(done);
        let parts = std::iter::once(first).chain(parts);
        let outcome = deal(threads, parts, &to_work, &results, &mut give);
        // Without both ends the threads end, whatever they are at.
        drop(to_work);
        drop(results);
        outcome
    })
}

/// Works on parts as they come, until there are no more.
fn labour<P, W, R>(
    inbox: &Mutex<Receiver<(u64, P)>>,
    done: &SyncSender<(u64, Result<R, ImportError>)>,
    mut worker: W,
    work: &(impl Fn(&mut W, P) -> Result<R, ImportError> + Sync),
) {
    loop {
        let next = match inbox.lock() {
            Ok(inbox) => inbox.recv(),
            Err(_) => return,
        };
        let Ok((number, part)) = next else {
            return;
        };
        if done.send((number, work(&mut worker, part))).is_err() {
            return;
        }
    }
}

/// Hands parts out and results on, in order.
fn deal<P, R>(
    threads: usize,
    parts: impl Iterator<Item = Result<P, ImportError>>,
    to_work: &SyncSender<(u64, P)>,
    results: &Receiver<(u64, Result<R, ImportError>)>,
    give: &mut impl FnMut(R) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut waiting: BTreeMap<u64, Result<R, ImportError>> = BTreeMap::new();
    let mut parts = (0_u64..).zip(parts).peekable();
    let mut handed = 0;
    let mut given = 0;
    loop {
        while parts.peek().is_some() && handed - given < 2 * threads as u64 {
            let Some((number, part)) = parts.next() else {
                break;
            };
            handed += 1;
            match part {
                Ok(part) => {
                    if to_work.send((number, part)).is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    waiting.insert(number, Err(error));
                }
            }
        }
        if given == handed {
            return Ok(());
        }
        while !waiting.contains_key(&given) {
            let Ok((number, result)) = results.recv() else {
                return Ok(());
            };
            waiting.insert(number, result);
        }
        while let Some(result) = waiting.remove(&given) {
            given += 1;
            give(result?)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(threads: usize, parts: u64, bad: Option<u64>) -> (Vec<u64>, bool) {
        let mut got = Vec::new();
        let wrong = |number| ImportError::NoRecord {
            offset: number,
            expected: "a part",
            found: String::new(),
        };
        let done = in_order(
            threads,
            (0..parts).map(Ok),
            || 0_u64,
            |seen: &mut u64, part| {
                *seen += 1;
                // Later parts are ready before earlier ones.
                thread::sleep(std::time::Duration::from_micros(100 * (part % 3)));
                if bad == Some(part) {
                    Err(wrong(part))
                } else {
                    Ok(part * part)
                }
            },
            |result| {
                got.push(result);
                Ok(())
            },
        );
        (got, done.is_ok())
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        let expected: Vec<u64> = (0..50).map(|part| part * part).collect();
        for threads in [1, 2, 7] {
            assert_eq!(run(threads, 50, None), (expected.clone(), true));
        }
        assert_eq!(run(4, 0, None), (Vec::new(), true));
        assert_eq!(run(4, 1, None), (vec![0], true));
    }

    #[test]
    fn an_error_ends_it_after_what_came_before() {
        for threads in [1, 4] {
            assert_eq!(run(threads, 50, Some(2)), (vec![0, 1], false));
        }
    }
}
