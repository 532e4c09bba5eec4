//! Limits of the format. Each bounds what a reader allocates for a file that lies.

/// Most bytes of a frame's payload before compression. An event with 128 KiB of arguments and
/// as much environment fits with room; a frame closes at [`FRAME_RAW_BYTES_TARGET`].
pub const FRAME_RAW_BYTES_MAX: usize = 4 << 20;

/// Bytes of a payload before compression at which a writer closes the frame: the knee of the
/// curve of size against frame length lies between 64 and 256 KiB (`docs/cost/journal.md`).
pub const FRAME_RAW_BYTES_TARGET: usize = 192 << 10;

/// Most bytes of a compressed payload: zstd's bound for [`FRAME_RAW_BYTES_MAX`], rounded up.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = FRAME_RAW_BYTES_MAX + (64 << 10);

/// Most events of a frame.
pub const FRAME_EVENTS_MAX: usize = 1 << 16;

/// Most entries of a frame's table of texts or of processes.
pub const FRAME_TEXTS_MAX: usize = 1 << 20;

/// Most bytes of one text. Arguments up to 128 KiB are kept whole; the kernel allows more.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Bytes of arguments that are kept whole; of more, head and tail are kept and the field is
/// marked truncated.
pub const ARGS_BYTES_WHOLE: usize = 128 << 10;

/// Most bytes of a segment's file at which a writer opens the next one.
pub const SEGMENT_BYTES_TARGET: u64 = 64 << 20;

/// How many positions the key on the endpoint's disk is ahead of what was written: what a crash can
/// hide, against how often the key must be made durable. It stands in the key files, where the
/// auditor's is believed; this is what a new enrolment gets.
pub const AHEAD_DEFAULT: u64 = 32;

/// The farthest ahead that a key file may say: what a crash may hide must stay small.
pub const AHEAD_MAX: u64 = 4096;
