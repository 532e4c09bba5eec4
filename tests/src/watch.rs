//! An allocator that remembers what was asked of it, for tests of what hostile bytes may cost.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, watched. A test makes it its `#[global_allocator]`; what it counts is of the
/// whole process, so that such a program holds one test at a time.
#[derive(Debug)]
pub struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        asked(layout.size());
        // SAFETY: the caller's promise about the layout is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        asked(layout.size());
        // SAFETY: the caller's promise about the layout is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc` or `alloc_zeroed` above, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

fn asked(bytes: usize) {
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

/// Counts anew, from what is held now.
pub fn begin() {
    LARGEST.store(0, Ordering::Relaxed);
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The largest single request since [`begin`], in bytes.
#[must_use]
pub fn largest() -> usize {
    LARGEST.load(Ordering::Relaxed)
}

/// The most bytes held at once since [`begin`].
#[must_use]
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}
