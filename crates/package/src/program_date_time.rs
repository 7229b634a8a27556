//! Writes the ISO 8601 times of `EXT-X-PROGRAM-DATE-TIME`, always in UTC.

use abanico_media::ExactTime;

const MS_PER_DAY: i64 = 86_400_000;

/// Writes a time such as `2026-11-25T08:13:44.000Z`; `epoch_ms` is in milliseconds since the Unix epoch.
pub(crate) fn date_time(epoch_ms: i64, offset: ExactTime) -> String {
    let moment = epoch_ms + offset.millis();
    let (year, month, day) = date(moment.div_euclid(MS_PER_DAY));
    let ms = moment.rem_euclid(MS_PER_DAY);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// Converts days since 1970 to year, month and day of the Gregorian calendar. Years start in March here, so the
/// leap day comes last.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ];
        for (epoch_ms, text) in cases {
            assert_eq!(date_time(epoch_ms, ExactTime::ZERO), text);
        }
    }

    #[test]
    fn offset_is_added() {
        assert_eq!(date_time(0, ExactTime::from_millis(61_500)), "1970-01-01T00:01:01.500Z");
    }
}
