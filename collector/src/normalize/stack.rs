//! Arguments and environment from a new program's stack, as perf copied its first bytes.
//!
//! At its start a program's stack holds `argc`, as many pointers, NULL, the pointers of the
//! environment, NULL, pairs of auxiliary values, and further up the texts. What lies beyond the
//! copied bytes, or on a page that was not there, is missing and said to be.

use super::environment;
use super::fact::{StackTexts, Whole};
use crate::source::native::u64_at;

/// Pointers that are looked for at the most: they must lie in the copied bytes.
const POINTERS_MAX: usize = 2_000;

/// The texts on a stack that begins at `pointer`, with the variables that are chosen or `added`; `None`
/// if it is not a new program's.
#[must_use]
pub fn texts(pointer: u64, stack: &[u8], added: &[Vec<u8>]) -> Option<StackTexts> {
    let argc = usize::try_from(u64_at(stack, 0)?).ok()?;
    if argc == 0 || argc > POINTERS_MAX {
        return None;
    }
    let mut found = StackTexts::default();
    for number in 0..argc {
        let Some((text, whole)) = text_of(pointer, stack, 8 + 8 * number) else {
            found.whole = Whole::No;
            break;
        };
        found.args.extend_from_slice(text);
        found.args.push(0);
        if whole == Whole::No {
            found.whole = Whole::No;
            break;
        }
    }
    // Behind the arguments' NULL.
    let first = 8 * (argc + 2);
    for number in 0..POINTERS_MAX {
        match u64_at(stack, first + 8 * number) {
            Some(0) => break,
            Some(_) => {}
            None => {
                found.environment_whole = Whole::No;
                break;
            }
        }
        match text_of(pointer, stack, first + 8 * number) {
            Some((text, Whole::Yes)) => found.keep_variable(text, added),
            // Those behind it lie further up still.
            Some((_, Whole::No)) | None => {
                found.environment_whole = Whole::No;
                break;
            }
        }
    }
    (!found.args.is_empty() || !found.environment.is_empty()).then_some(found)
}

/// The text that the pointer at `place` leads to, and whether its end was copied too.
fn text_of(pointer: u64, stack: &[u8], place: usize) -> Option<(&[u8], Whole)> {
    let at = usize::try_from(u64_at(stack, place)?.checked_sub(pointer)?).ok()?;
    let text = stack.get(at..)?;
    match text.iter().position(|byte| *byte == 0) {
        Some(end) => Some((text.get(..end)?, Whole::Yes)),
        None => Some((text, Whole::No)),
    }
}

impl StackTexts {
    fn keep_variable(&mut self, variable: &[u8], added: &[Vec<u8>]) {
        if !environment::is_chosen(variable, added) {
            return;
        }
        if self.environment.len() + variable.len() < environment::BYTES_MAX {
            self.environment.extend_from_slice(variable);
            self.environment.push(0);
        } else {
            self.environment_whole = Whole::No;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::native::push_u64;

    const AT: u64 = 0x7ffd_0000_1000;

    fn stack(args: &[&[u8]], environment: &[&[u8]]) -> Vec<u8> {
        let mut texts = Vec::new();
        let mut bytes = Vec::new();
        push_u64(&mut bytes, args.len() as u64);
        let first = 8 * (args.len() + environment.len() + 3) as u64;
        for list in [args, environment] {
            for text in list {
                push_u64(&mut bytes, AT + first + texts.len() as u64);
                texts.extend_from_slice(text);
                texts.push(0);
            }
            push_u64(&mut bytes, 0);
        }
        bytes.extend_from_slice(&texts);
        bytes
    }

    #[test]
    fn whole_arguments_and_chosen_variables_are_found() {
        let variables: &[&[u8]] = &[b"HOME=/", b"LD_PRELOAD=/x.so", b"PATH=/bin"];
        let found = texts(AT, &stack(&[b"sh", b"-c", b""], variables), &[]).unwrap();
        assert_eq!(
            found,
            StackTexts {
                args: b"sh\0-c\0\0".to_vec(),
                whole: Whole::Yes,
                environment: b"LD_PRELOAD=/x.so\0PATH=/bin\0".to_vec(),
                environment_whole: Whole::Yes,
            }
        );
    }

    #[test]
    fn every_cut_gives_fewer_texts_and_says_so() {
        let whole = stack(&[b"first", b"second"], &[b"PATH=/bin"]);
        for cut in 0..whole.len() {
            if let Some(found) = texts(AT, &whole[..cut], &[]) {
                assert_eq!(found.environment_whole, Whole::No, "cut at {cut}");
                assert!(found.environment.is_empty());
            }
        }
    }

    #[test]
    fn pointers_that_lead_elsewhere_find_nothing() {
        let mut bytes = stack(&[b"sh"], &[]);
        bytes[8..16].fill(0xff);
        assert_eq!(texts(AT, &bytes, &[]), None);
        assert_eq!(texts(AT, &[0xff; 64], &[]), None);
        assert_eq!(texts(AT, b"", &[]), None);
    }
}
