//! Models the decoder's buffer as a leaky bucket, to find out whether it ever runs dry.
//!
//! It follows ITU-T H.264 annex C with a variable rate: bits arrive at the given rate while there is room,
//! and a whole frame leaves at its decoding time. Nothing is averaged.

use abanico_media::ExactTime;

use super::{CodedFrame, Inspection};

/// The parameters of a decoder's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferModel {
    /// Rate at which bits arrive, in bits per second.
    pub rate_bps: u64,
    /// Size of the buffer in bits.
    pub size_bits: u64,
    /// How full the buffer is when the first frame leaves, 0 to 100 %.
    pub fill_percent: u8,
}

/// The result of running the frames through the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferReport {
    /// Lowest level right after a frame left, in bits; negative if bits were missing.
    pub lowest_bits: i64,
    /// Number of frames whose bits had not all arrived.
    pub missing_frames: u64,
    /// Decoding time of the first of those frames.
    pub first_missing: Option<ExactTime>,
}

impl Inspection {
    /// Runs the frames through a buffer. Returns `None` if there are no frames.
    pub fn check_buffer(&self, model: BufferModel) -> Option<BufferReport> {
        check(&self.frames, model)
    }
}

fn check(frames: &[CodedFrame], model: BufferModel) -> Option<BufferReport> {
    let mut buffer = Buffer::new(model);
    let mut report = BufferReport { lowest_bits: i64::MAX, missing_frames: 0, first_missing: None };
    let mut before = frames.first()?.decoded;
    for frame in frames {
        buffer.wait(frame.decoded - before);
        before = frame.decoded;
        let left = buffer.take(frame.bits);
        report.lowest_bits = report.lowest_bits.min(left);
        if left < 0 {
            report.missing_frames += 1;
            report.first_missing.get_or_insert(frame.decoded);
        }
    }
    Some(report)
}

/// A decoder's buffer that frames leave one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    model: BufferModel,
    /// Level in millionths of a bit, because a rate times microseconds is exact in this unit.
    held: i128,
}

impl Buffer {
    /// Creates a buffer that is as full as the model says.
    pub fn new(model: BufferModel) -> Self {
        let held = micro(model.size_bits) * i128::from(model.fill_percent.min(100)) / 100;
        Self { model, held }
    }

    /// Lets bits arrive for this long, while there is room.
    pub fn wait(&mut self, time: ExactTime) {
        let came = i128::from(self.model.rate_bps) * i128::from(time.micros().max(0));
        self.held = (self.held + came).min(micro(self.model.size_bits));
    }

    /// Removes a frame. Returns the bits that are left, negative if some are missing. In that case the
    /// decoder waits, and goes on with an empty buffer.
    pub fn take(&mut self, bits: u64) -> i64 {
        self.held -= micro(bits);
        let left = i64::try_from(self.held.div_euclid(1_000_000)).unwrap_or(i64::MIN);
        self.held = self.held.max(0);
        left
    }

    /// Returns how full the buffer is, 0 to 100 %, rounded down.
    pub fn fill_percent(&self) -> u8 {
        let size = micro(self.model.size_bits).max(1);
        u8::try_from((self.held * 100 / size).clamp(0, 100)).unwrap_or(100)
    }
}

fn micro(bits: u64) -> i128 {
    i128::from(bits) * 1_000_000
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
    fn frames_take_bits_and_waiting_adds_some() {
        // 2000 - 1500 = 500; + 1000 - 1200 = 300; + 1000 - 100 = 1200.
        let report = check(&frames(&[1500, 1200, 100]), MODEL).unwrap();
        assert_eq!((report.lowest_bits, report.missing_frames), (300, 0));
    }

    #[test]
    fn oversized_frame_is_reported_with_its_time() {
        let report = check(&frames(&[1500, 1600, 900]), MODEL).unwrap();
        assert_eq!((report.lowest_bits, report.missing_frames), (-100, 1));
        assert_eq!(report.first_missing, Some(ExactTime::from_millis(100)));
    }

    #[test]
    fn buffer_never_exceeds_its_size() {
        // After ten empty frames the buffer is full, and no fuller: 2000 - 2100.
        let mut bits = vec![0; 10];
        bits.push(2100);
        assert_eq!(check(&frames(&bits), MODEL).unwrap().lowest_bits, -100);
        assert_eq!(check(&[], MODEL), None);
    }
}
