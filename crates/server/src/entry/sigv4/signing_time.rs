//! Parses and writes times as SigV4 does: converts `20150830T123600Z` or an HTTP date to epoch seconds, and epoch
//! seconds back to the first form. Never reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const AMZ_DATE: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// Parses a time in either form. Returns `None` if it is in neither.
pub(super) fn read_time(text: &str) -> Option<i64> {
    if let Ok(time) = PrimitiveDateTime::parse(text, AMZ_DATE) {
        return Some(time.assume_utc().unix_timestamp());
    }
    OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

/// Writes epoch seconds as `20150830T123600Z`; years beyond 9999 become the epoch.
pub(super) fn write_time(epoch_s: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(epoch_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(AMZ_DATE).expect("every member of the format is in a full date and time")
}

/// Returns a clock reading in epoch seconds; 0 for clocks before 1970.
pub(super) fn epoch_s(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_give_the_same_instant() {
        assert_eq!(read_time("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(read_time("Sun, 30 Aug 2015 12:36:00 GMT"), Some(1_440_938_160));
        assert_eq!(write_time(1_440_938_160), "20150830T123600Z");
        assert_eq!(write_time(i64::MAX), "19700101T000000Z");
    }

    #[test]
    fn anything_else_is_not_a_time() {
        for text in ["", "20150830", "2015-08-30T12:36:00Z", "20151330T123600Z", "20150830T123600", "x"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn clock_before_1970_reads_zero() {
        assert_eq!(epoch_s(UNIX_EPOCH - Duration::from_secs(5)), 0);
        assert_eq!(epoch_s(UNIX_EPOCH + Duration::from_secs(5)), 5);
    }
}
