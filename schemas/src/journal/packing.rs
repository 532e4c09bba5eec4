//! How payloads of events are compressed: Zstandard, small ones with a dictionary of the format's own.
//!
//! A frame of a quiet machine holds a few dozen events, too few for a compressor to learn from. So the format
//! brings what such events look like: `dictionary.zdict`, trained by `fixtures/dictionary/train` from
//! recordings of ordinary work. Its bytes are part of the format. Which payloads were made with it, their
//! own Zstandard frame headers say (`Dictionary_ID`, RFC 8878 §3.1.1.1.3). Each frame still
//! stands alone.

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, compress_bound,
    get_dict_id_from_frame,
};

use crate::journal::limits::FRAME_RAW_BYTES_MAX;
use crate::journal::payload::PayloadError;

/// The dictionary of this version of the format, as `zstd -D` takes it.
const DICTIONARY: &[u8] = include_bytes!("dictionary.zdict");

/// Payloads up to this many bytes before compression are made with the dictionary. Longer ones
/// hold enough to learn from, and gain less than a hundredth.
const WITH_DICTIONARY_MAX: usize = 64 << 10;

/// Parts of at least this many bytes get compression tables of their own (`docs/cost/journal.md`).
const FLUSH_BYTES: usize = 512;

const INVARIANT: &str = "zstd compresses into a buffer of its own bound";

/// Compresses payloads. Its memory is kept from frame to frame.
pub(crate) struct Packer {
    long: CCtx<'static>,
    short: CCtx<'static>,
}

impl Packer {
    /// A packer at a level of zstd; a level out of range is taken as the nearest by zstd itself.
    pub(crate) fn new(level: i32) -> Self {
        let context = || {
            let mut context = CCtx::create();
            let _ = context.set_parameter(CParameter::CompressionLevel(level));
            context
        };
        let mut short = context();
        short
            .load_dictionary(DICTIONARY)
            .expect("memory takes a dictionary");
        Self {
            long: context(),
            short,
        }
    }

    /// Appends the compressed payload to `out`. `parts` says where parts of it end: each gets tables of its
    /// own if it is long enough.
    pub(crate) fn pack(&mut self, raw: &[u8], parts: &[usize], out: &mut Vec<u8>) {
        let context = if raw.len() <= WITH_DICTIONARY_MAX {
            &mut self.short
        } else {
            &mut self.long
        };
        context.reset(ResetDirective::SessionOnly).expect(INVARIANT);
        context
            .set_pledged_src_size(Some(raw.len() as u64))
            .expect(INVARIANT);
        let start = out.len();
        // Each flush ends a block: three bytes of block header, and room for zstd's own end.
        out.reserve(compress_bound(raw.len()) + 8 * (raw.len() / FLUSH_BYTES + 2));
        let mut output = OutBuffer::around_pos(out, start);
        let mut done = 0;
        for &part in parts.iter().filter(|&&part| part < raw.len()) {
            if part - done >= FLUSH_BYTES {
                let input = raw.get(done..part).unwrap_or_default();
                step(context, &mut output, input, ZSTD_EndDirective::ZSTD_e_flush);
                done = part;
            }
        }
        let input = raw.get(done..).unwrap_or_default();
        step(context, &mut output, input, ZSTD_EndDirective::ZSTD_e_end);
    }
}

fn step(
    context: &mut CCtx<'static>,
    output: &mut OutBuffer<'_, Vec<u8>>,
    input: &[u8],
    then: ZSTD_EndDirective,
) {
    let mut input = InBuffer::around(input);
    let left = context.compress_stream2(output, &mut input, then);
    assert_eq!(left, Ok(0), "{INVARIANT}");
}

/// Decompresses payloads. Its memory is kept from frame to frame.
#[derive(Default)]
pub(crate) struct Unpacker {
    plain: Option<DCtx<'static>>,
    with_dictionary: Option<DCtx<'static>>,
}

impl Unpacker {
    /// Decompresses exactly `raw_len` bytes, at most [`FRAME_RAW_BYTES_MAX`], into `raw`.
    pub(crate) fn unpack(
        &mut self,
        payload: &[u8],
        raw_len: u32,
        raw: &mut Vec<u8>,
    ) -> Result<(), PayloadError> {
        let wrong = |found: String| PayloadError::Compression {
            expected: raw_len,
            found,
        };
        let expected = usize::try_from(raw_len).unwrap_or(usize::MAX);
        if expected > FRAME_RAW_BYTES_MAX {
            return Err(wrong(format!(
                "a frame holds at most {FRAME_RAW_BYTES_MAX}"
            )));
        }
        let context = match get_dict_id_from_frame(payload) {
            None => self.plain.get_or_insert_with(DCtx::create),
            Some(_) => self.with_dictionary.get_or_insert_with(|| {
                let mut context = DCtx::create();
                context
                    .load_dictionary(DICTIONARY)
                    .expect("memory takes a dictionary");
                context
            }),
        };
        raw.clear();
        raw.reserve_exact(expected);
        // zstd itself holds the dictionary's number against the one that the payload names.
        let found = context
            .decompress(raw, payload)
            .map_err(|code| wrong(zstd::zstd_safe::get_error_name(code).to_owned()))?;
        if found == expected {
            Ok(())
        } else {
            Err(wrong(format!("{found} bytes")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Packer::new(3).pack(raw, &[], &mut out);
        out
    }

    #[test]
    fn short_and_long_payloads_read_back_and_say_how_they_were_made() {
        for (len, with) in [
            (0, true),
            (100, true),
            (WITH_DICTIONARY_MAX, true),
            (WITH_DICTIONARY_MAX + 1, false),
        ] {
            let raw: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0] / 3).collect();
            let payload = packed(&raw);
            assert_eq!(get_dict_id_from_frame(&payload).is_some(), with, "{len}");
            let mut back = Vec::new();
            let raw_len = u32::try_from(len).unwrap();
            Unpacker::default()
                .unpack(&payload, raw_len, &mut back)
                .unwrap();
            assert_eq!(back, raw);
        }
    }

    #[test]
    fn another_dictionary_is_refused() {
        let mut payload = packed(b"events, events, events");
        // Magic and descriptor stand before the dictionary's number.
        payload[5] ^= 1;
        let mut back = Vec::new();
        assert!(Unpacker::default().unpack(&payload, 22, &mut back).is_err());
    }
}
