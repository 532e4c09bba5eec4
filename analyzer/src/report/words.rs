//! Words that depend on a number.

/// A count with its noun: `1 detection`, `2 detections`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(&count.to_string()),
        if count == 1 { one } else { many }
    )
}

/// Digits with a comma after each three.
pub(super) fn grouped(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        for (digits, shown) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("18446744073709551615", "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(digits), shown);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "process", "processes"), "1 process");
        assert_eq!(counted(1_200, "process", "processes"), "1,200 processes");
    }
}
