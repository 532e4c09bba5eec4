//! Whether the tests on the running kernel run here.

use std::sync::{Mutex, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test if this is the place for it, and says why not otherwise.
pub fn live(name: &str, test: impl FnOnce()) {
    if std::env::var_os("SAIGEN_LIVE").is_none() {
        eprintln!(
            "{name}: skipped, SAIGEN_LIVE is not set (needs root and an audit that nobody owns)"
        );
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    test();
}
