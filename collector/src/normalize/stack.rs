//! Arguments from a new program's stack, as perf copied its first bytes.
//!
//! At its start a program's stack holds `argc`, as many pointers, NULL, the pointers of the
//! environment, NULL, pairs of auxiliary values, and further up the texts. What lies beyond the
//! copied bytes, or on a page that was not there, is missing and said to be.

use super::fact::{StackArgs, Whole};
use crate::source::native::u64_at;

/// Arguments that are looked for at the most: their pointers must lie in the copied bytes.
const ARGC_MAX: u64 = 2_000;

/// The arguments on a stack that begins at `pointer`; `None` if it is not a new program's.
#[must_use]
pub fn arguments(pointer: u64, stack: &[u8]) -> Option<StackArgs> {
    let argc = u64_at(stack, 0)?;
    if argc == 0 || argc > ARGC_MAX {
        return None;
    }
    let mut found = StackArgs::default();
    for number in 0..usize::try_from(argc).ok()? {
        let text = u64_at(stack, 8 + 8 * number)
            .and_then(|at| usize::try_from(at.checked_sub(pointer)?).ok())
            .and_then(|at| stack.get(at..));
        let Some(text) = text else {
            found.whole = Whole::No;
            break;
        };
        let end = text.iter().position(|byte| *byte == 0);
        found
            .args
            .extend_from_slice(text.get(..end.unwrap_or(text.len())).unwrap_or_default());
        found.args.push(0);
        if end.is_none() {
            found.whole = Whole::No;
            break;
        }
    }
    (!found.args.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::push_u64;

    const AT: u64 = 0x7ffd_0000_1000;

    fn stack(args: &[&[u8]]) -> Vec<u8> {
        let mut texts = Vec::new();
        let mut bytes = Vec::new();
        push_u64(&mut bytes, args.len() as u64);
        let first = 8 * (args.len() as u64 + 3);
        for arg in args {
            push_u64(&mut bytes, AT + first + texts.len() as u64);
            texts.extend_from_slice(arg);
            texts.push(0);
        }
        push_u64(&mut bytes, 0);
        push_u64(&mut bytes, 0);
        bytes.extend_from_slice(&texts);
        bytes
    }

    #[test]
    fn whole_arguments_are_found() {
        let found = arguments(AT, &stack(&[b"sh", b"-c", b""])).unwrap();
        assert_eq!(
            found,
            StackArgs {
                args: b"sh\0-c\0\0".to_vec(),
                whole: Whole::Yes
            }
        );
    }

    #[test]
    fn every_cut_gives_fewer_arguments_and_says_so() {
        let whole = stack(&[b"first", b"second"]);
        for cut in 0..whole.len() {
            if let Some(found) = arguments(AT, &whole[..cut]) {
                assert_eq!(found.whole, Whole::No, "cut at {cut}");
            }
        }
    }

    #[test]
    fn pointers_that_lead_elsewhere_find_nothing() {
        let mut bytes = stack(&[b"sh"]);
        bytes[8..16].fill(0xff);
        assert_eq!(arguments(AT, &bytes), None);
        assert_eq!(arguments(AT, &[0xff; 64]), None);
        assert_eq!(arguments(AT, b""), None);
    }
}
