//! A point in time as the report prints it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z, without leap seconds. Printed as RFC 3339 in
/// UTC with six digits, so that the text sorts as the number does.
///
/// RFC 3339 has four digits for the year. A time outside the years 0000 to 9999 comes from
/// a broken or hostile clock and is held at the nearer end; the record keeps the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

/// 0000-01-01T00:00:00Z.
const EARLIEST_US: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LATEST_US: i64 = 253_402_300_799_999_999;

const SECOND_US: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01, the first day of the calendar's 400-year cycle, to 1970-01-01.
const CYCLE_TO_EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years of the Gregorian calendar.
const CYCLE_DAYS: i64 = 146_097;

impl Moment {
    /// The moment at that many microseconds of the wall clock.
    pub fn from_us(us: i64) -> Self {
        Self(us.clamp(EARLIEST_US, LATEST_US))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn us(self) -> i64 {
        self.0
    }

    /// The parts of the calendar: year, month, day, hour, minute, second, microsecond.
    fn parts(self) -> [i64; 7] {
        let seconds = self.0.div_euclid(SECOND_US);
        let micros = self.0.rem_euclid(SECOND_US);
        let days = seconds.div_euclid(DAY_SECONDS) + CYCLE_TO_EPOCH_DAYS;
        let second_of_day = seconds.rem_euclid(DAY_SECONDS);
        // The year is counted from March, so that the leap day is its last.
        let day_of_cycle = days.rem_euclid(CYCLE_DAYS);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_cycle + 400 * days.div_euclid(CYCLE_DAYS) + i64::from(month <= 2);
        [
            year,
            month,
            day,
            second_of_day / 3_600,
            second_of_day / 60 % 60,
            second_of_day % 60,
            micros,
        ]
    }

    fn from_parts([year, month, day, hour, minute, second, micros]: [i64; 7]) -> Option<Self> {
        let year_from_march = year - i64::from(month <= 2);
        let year_of_cycle = year_from_march.rem_euclid(400);
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_cycle =
            year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
        let days =
            year_from_march.div_euclid(400) * CYCLE_DAYS + day_of_cycle - CYCLE_TO_EPOCH_DAYS;
        let seconds = days * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
        let moment = Self(seconds * SECOND_US + micros);
        // A day that the month does not have, or an hour 24, would come out as another date.
        (moment.parts() == [year, month, day, hour, minute, second, micros]).then_some(moment)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second, micros] = self.parts();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

/// A text that is not a moment of this report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentError(String);

impl fmt::Display for MomentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a time like 2026-01-31T00:00:00.000000Z, found {:?}",
            self.0
        )
    }
}

impl std::error::Error for MomentError {}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.as_bytes()).ok_or_else(|| MomentError(text.chars().take(40).collect()))
    }
}

/// Reads `YYYY-MM-DDThh:mm:ss[.f{1,6}]Z`.
fn parse(text: &[u8]) -> Option<Moment> {
    let (date, rest) = text.split_at_checked(19)?;
    let rest = rest.strip_suffix(b"Z")?;
    let fraction = match rest.split_first() {
        None => &[][..],
        Some((b'.', digits)) if (1..=6).contains(&digits.len()) => digits,
        Some(_) => return None,
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| date[at] != mark) {
        return None;
    }
    let mut micros = number(fraction)?;
    for _ in fraction.len()..6 {
        micros *= 10;
    }
    Moment::from_parts([
        number(&date[0..4])?,
        number(&date[5..7])?,
        number(&date[8..10])?,
        number(&date[11..13])?,
        number(&date[14..16])?,
        number(&date[17..19])?,
        micros,
    ])
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_print_as_rfc_3339() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_772_421_296_789_012, "2026-03-02T03:14:56.789012Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Moment::from_us(us).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567Z",
            "2026-01-01T00:00:0éZ",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(us in EARLIEST_US..=LATEST_US) {
            let moment = Moment::from_us(us);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }

        #[test]
        fn text_sorts_as_time_does(a in EARLIEST_US..=LATEST_US, b in EARLIEST_US..=LATEST_US) {
            let (a, b) = (Moment::from_us(a), Moment::from_us(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
