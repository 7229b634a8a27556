//! The decoder's buffer as a leaky bucket: in coded frames and a model, out whether the buffer ever runs dry.
//! Never an approximation by averages: each frame is taken out at its time.
//!
//! The model is that of ITU-T H.264 annex C with a variable rate: bits come in at the rate while there is room, and a frame
//! leaves as a whole when it is decoded.

use abanico_media::ExactTime;

use super::{CodedFrame, Inspection};

/// A decoder's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferModel {
    /// Bits a second that come in.
    pub rate_bps: u64,
    /// Its size in bits.
    pub size_bits: u64,
    /// How full it is when the first frame leaves, 0 to 100 %.
    pub fill_percent: u8,
}

/// What the frames do to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferReport {
    /// The least that it held right after a frame left, in bits; negative where bits were missing.
    pub lowest_bits: i64,
    /// Frames for which bits were missing.
    pub missing_frames: u64,
    /// When the first of these was decoded.
    pub first_missing: Option<ExactTime>,
}

impl Inspection {
    /// Runs the frames through a buffer; none without frames.
    pub fn check_buffer(&self, model: BufferModel) -> Option<BufferReport> {
        check(&self.frames, model)
    }
}

fn check(frames: &[CodedFrame], model: BufferModel) -> Option<BufferReport> {
    // Millionths of a bit: a rate times microseconds is exact in them.
    let micro = |bits: u64| i128::from(bits) * 1_000_000;
    let size = micro(model.size_bits);
    let mut held = size * i128::from(model.fill_percent.min(100)) / 100;
    let mut report = BufferReport { lowest_bits: i64::MAX, missing_frames: 0, first_missing: None };
    let mut before = frames.first()?.decoded;
    for frame in frames {
        let waited = i128::from((frame.decoded - before).micros().max(0));
        held = (held + i128::from(model.rate_bps) * waited).min(size) - micro(frame.bits);
        before = frame.decoded;
        let bits = i64::try_from(held.div_euclid(1_000_000)).unwrap_or(i64::MIN);
        report.lowest_bits = report.lowest_bits.min(bits);
        if held < 0 {
            report.missing_frames += 1;
            report.first_missing.get_or_insert(frame.decoded);
            // The decoder waits; it goes on with an empty buffer.
            held = 0;
        }
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bits: &[u64]) -> Vec<CodedFrame> {
        let frame = |(index, bits): (usize, &u64)| {
            let decoded = ExactTime::from_millis(i64::try_from(index).unwrap() * 100);
            CodedFrame { decoded, shown: decoded, bits: *bits, is_key: index == 0 }
        };
        bits.iter().enumerate().map(frame).collect()
    }

    const MODEL: BufferModel = BufferModel { rate_bps: 10_000, size_bits: 2000, fill_percent: 100 };

    #[test]
    fn does_a_frame_take_its_bits_and_each_wait_bring_some() {
        // 2000 - 1500 = 500; + 1000 - 1200 = 300; + 1000 - 100 = 1200.
        let report = check(&frames(&[1500, 1200, 100]), MODEL).unwrap();
        assert_eq!((report.lowest_bits, report.missing_frames), (300, 0));
    }

    #[test]
    fn is_a_frame_that_is_too_large_told_with_its_time() {
        let report = check(&frames(&[1500, 1600, 900]), MODEL).unwrap();
        assert_eq!((report.lowest_bits, report.missing_frames), (-100, 1));
        assert_eq!(report.first_missing, Some(ExactTime::from_millis(100)));
    }

    #[test]
    fn does_the_buffer_never_hold_more_than_its_size() {
        // After ten quiet frames it is full and no fuller: 2000 - 2100.
        let mut bits = vec![0; 10];
        bits.push(2100);
        assert_eq!(check(&frames(&bits), MODEL).unwrap().lowest_bits, -100);
        assert_eq!(check(&[], MODEL), None);
    }
}
