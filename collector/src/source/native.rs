//! Numbers of the kernel's records, in the machine's own byte order.
//!
//! Raw records never leave the machine that made them, so that their order of bytes is this
//! machine's; every read is checked and a record that is too short gives `None`.

#![expect(
    clippy::host_endian_bytes,
    reason = "the kernel's records are in the machine's own order"
)]

macro_rules! number_at {
    ($($name:ident: $number:ty),* $(,)?) => { $(
        #[doc = concat!("The `", stringify!($number), "` that stands `offset` bytes into a record.")]
        #[must_use]
        pub fn $name(bytes: &[u8], offset: usize) -> Option<$number> {
            bytes.get(offset..)?.first_chunk().map(|chunk| <$number>::from_ne_bytes(*chunk))
        }
    )* };
}

number_at! { u16_at: u16, u32_at: u32, u64_at: u64, i32_at: i32 }

macro_rules! push_number {
    ($($name:ident: $number:ty),* $(,)?) => { $(
        #[doc = concat!("Appends a `", stringify!($number), "` to a message for the kernel.")]
        pub fn $name(bytes: &mut Vec<u8>, number: $number) {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
    )* };
}

push_number! { push_u16: u16, push_u32: u32, push_u64: u64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read() {
        let mut bytes = Vec::new();
        push_u16(&mut bytes, 0xbeef);
        push_u32(&mut bytes, 7);
        push_u64(&mut bytes, u64::MAX - 1);
        assert_eq!(u16_at(&bytes, 0), Some(0xbeef));
        assert_eq!(u32_at(&bytes, 2), Some(7));
        assert_eq!(u64_at(&bytes, 6), Some(u64::MAX - 1));
        assert_eq!(i32_at(&bytes, 6), Some(-2));
    }

    #[test]
    fn a_short_record_gives_nothing() {
        assert_eq!(u64_at(&[0; 8], 1), None);
        assert_eq!(u16_at(&[0; 8], usize::MAX), None);
    }
}
