//! The `X-TIMESTAMP-MAP` header line, which maps the clock of a WebVTT segment in HLS to that of MPEG-TS (RFC
//! 8216, section 3.5).

use abanico_media::{ExactTime, Rational};

use crate::parsing::timestamp;

/// The name of the header line, with its equals sign.
const NAME: &str = "X-TIMESTAMP-MAP=";

/// MPEG-TS counts its 90 kHz clock in 33 bits.
const CLOCK_BITS: u32 = 33;

/// The same moment on two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimestampMap {
    /// Time on the MPEG-TS clock, in ticks of 1/90,000 second, below 2^33.
    pub mpegts_ticks: u64,
    /// Time on the cues' clock.
    pub local: ExactTime,
}

impl TimestampMap {
    /// Makes the map of a file whose time zero is `mpegts_ticks` on the MPEG-TS clock (90 kHz), modulo 2^33.
    pub fn from_zero(mpegts_ticks: u64) -> Self {
        Self { mpegts_ticks: mpegts_ticks % (1 << CLOCK_BITS), local: ExactTime::ZERO }
    }

    /// Returns the offset from the cues' clock to the MPEG-TS clock.
    pub fn offset(self) -> ExactTime {
        let ticks = i64::try_from(self.mpegts_ticks % (1 << CLOCK_BITS)).unwrap_or(0);
        ExactTime::from_ticks(ticks, Rational::new(1, 90_000)) - self.local
    }

    /// Parses a header line; `None` if it is another line or malformed.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (mut mpegts, mut local) = (None, None);
        for part in line.trim().strip_prefix(NAME)?.split(',') {
            match part.trim().split_once(':')? {
                ("MPEGTS", ticks) => {
                    mpegts = ticks.trim().parse().ok().filter(|ticks| ticks >> CLOCK_BITS == 0)
                }
                ("LOCAL", time) => local = timestamp::webvtt(time.trim()),
                _ => {}
            }
        }
        Some(Self { mpegts_ticks: mpegts?, local: local? })
    }

    /// Writes the header line without its line end.
    pub(crate) fn written(self) -> String {
        let local = u64::try_from(self.local.millis()).unwrap_or(0);
        format!("{NAME}MPEGTS:{},LOCAL:{}", self.mpegts_ticks, timestamp::written(local, '.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_orders() {
        let map = TimestampMap { mpegts_ticks: 900_000, local: ExactTime::from_millis(1500) };
        for line in [
            "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:01.500",
            "X-TIMESTAMP-MAP=LOCAL:00:01.500, MPEGTS:900000 ",
        ] {
            assert_eq!(TimestampMap::parse(line), Some(map), "{line}");
        }
        assert_eq!(map.offset().millis(), 8500);
        assert_eq!(map.written(), "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:01.500");
    }

    #[test]
    fn malformed_line_gives_none() {
        for line in [
            "",
            "X-TIMESTAMP-MAP=",
            "X-TIMESTAMP-MAP=MPEGTS:1",
            "X-TIMESTAMP-MAP=MPEGTS:x,LOCAL:00:00.000",
            "X-TIMESTAMP-MAP=MPEGTS:8589934592,LOCAL:00:00.000",
            "X-TIMESTAMP-MAP=MPEGTS:1,LOCAL:0",
            "NOTE MPEGTS:1,LOCAL:00:00.000",
        ] {
            assert_eq!(TimestampMap::parse(line), None, "{line}");
        }
    }

    #[test]
    fn clock_wraps_at_33_bits() {
        assert_eq!(TimestampMap::from_zero((1 << 33) + 7).mpegts_ticks, 7);
        assert_eq!(
            TimestampMap::from_zero(u64::MAX).offset().seconds(),
            Rational::new((1 << 33) - 1, 90_000)
        );
    }
}
