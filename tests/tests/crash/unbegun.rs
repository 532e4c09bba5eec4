//! A recorder that ends before its first frame is whole.

use saigen_collector::journal::Limits;
use saigen_schemas::journal::FrameHeader;
use saigen_schemas::report::Verdict;

use crate::{at, begin, judge};

/// How far apart the lengths are at which the first frame is cut.
const STEP: usize = 61;

#[test]
fn a_start_that_was_cut_off_does_not_keep_the_next_one_out() {
    let folder = tempfile::tempdir().unwrap();
    let made = saigen_collector::keys::generate(&folder.path().join("keys")).unwrap();
    let journal = folder.path().join("journal");
    let segment = journal.join("00000001.saj");
    drop(begin(
        &journal,
        &made.endpoint,
        Limits::default(),
        at(1_000),
    ));
    let bytes = std::fs::read(&segment).unwrap();
    let opening = FrameHeader::promised_len(&bytes).unwrap();
    let mut round = 1;
    for cut in (0..opening).step_by(STEP).chain([opening - 1]) {
        // The key on the disk stays as it has become: it is moved on before a frame is written.
        std::fs::write(&segment, &bytes[..cut]).unwrap();
        std::fs::write(journal.join(".reserve"), "").unwrap();
        round += 1;
        let now = at(round * 1_000);
        drop(begin(&journal, &made.endpoint, Limits::default(), now));
        assert!(segment.metadata().unwrap().len() > cut as u64);
    }
    std::fs::write(&segment, "").unwrap();
    let now = at(round * 1_000 + 1_000);
    let writer = begin(&journal, &made.endpoint, Limits::default(), now);
    writer.close(at(round * 1_000 + 2_000)).unwrap();
    let judged = judge(&journal, &made.auditor);
    assert_eq!(judged.verdict, Verdict::Intact, "{}", judged.explanation);
}
