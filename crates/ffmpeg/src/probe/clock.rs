//! Finds the places at which a file's clock jumps, because recordings were joined without new time stamps, and what to
//! add to each stream's time stamps so that all streams play on together. Takes the decoding times of all packets in
//! file order.
//!
//! It must not take a pause for a jump: only a clock that runs backwards jumps for sure.

use std::collections::BTreeMap;

use abanico_media::{ClockJumps, ClockShift, ExactTime, Rational};

/// How far a stream's decoding times must go back to show a jump. Damaged time stamps go back by less.
const BACK_MICROS: i64 = 300_000;
/// How far a stream must run ahead of all streams to show a jump in a recording of a broadcast. A shorter gap is a
/// pause (as ffmpeg decides with its option `-dts_delta_threshold`).
const AHEAD_MICROS: i64 = 10_000_000;
/// How far the first stream that jumps may be off from where the picture would go on.
const CORRECTION_MICROS: i64 = 500_000;
/// Maximum number of jumps. A file with more has no clock to speak of.
const MOST_JUMPS: usize = 500;

/// Follows the clock of a file from packet to packet.
#[derive(Debug)]
pub(crate) struct Clock {
    follows_leaps: bool,
    /// The clock from one jump to the next; at least one.
    epochs: Vec<Epoch>,
    /// Where the newest epoch has come to.
    now: i64,
    streams: BTreeMap<u32, Own>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// What is added to its time stamps.
    shift: i64,
    /// Whether the picture decided that.
    is_by_picture: bool,
}

/// One stream. Times are in microseconds, after the shift.
#[derive(Debug)]
struct Own {
    packets: u64,
    epoch: usize,
    last: Option<i64>,
    step: i64,
    entered: Vec<(u64, usize)>,
}

impl Clock {
    /// Begins with a file's first packet. With `follows_leaps`, a leap ahead is a jump as well.
    pub fn new(follows_leaps: bool) -> Self {
        let first = Epoch { shift: 0, is_by_picture: true };
        Self { follows_leaps, epochs: vec![first], now: 0, streams: BTreeMap::new() }
    }

    /// Takes the next packet of the file, with its decoding time in microseconds.
    pub fn take(&mut self, stream: u32, is_picture: bool, micros: Option<i64>) {
        let fresh = || Own { packets: 0, epoch: 0, last: None, step: 0, entered: Vec::new() };
        let own = self.streams.entry(stream).or_insert_with(fresh);
        let number = own.packets;
        own.packets += 1;
        let Some(micros) = micros.filter(|_| self.epochs.len() <= MOST_JUMPS + 1) else { return };
        let newest = self.epochs.len() - 1;
        let in_epoch = |epochs: &[Epoch], epoch: usize| micros.saturating_add(epochs[epoch].shift);
        let is_nearer = |one: i64, other: i64| one.abs_diff(self.now) < other.abs_diff(self.now);
        let mut enters = None;
        if own.epoch != newest && is_nearer(in_epoch(&self.epochs, newest), in_epoch(&self.epochs, own.epoch))
        {
            enters = Some(newest);
        }
        let expected = own.last.map(|last| last.saturating_add(own.step));
        if let (None, Some(last), Some(expected)) = (enters, own.last, expected) {
            let at = in_epoch(&self.epochs, own.epoch);
            let leaps = self.follows_leaps && at > expected.max(self.now).saturating_add(AHEAD_MICROS);
            if at < last.saturating_sub(BACK_MICROS) || leaps {
                self.epochs.push(Epoch { shift: expected.saturating_sub(micros), is_by_picture: is_picture });
                enters = Some(newest + 1);
            }
        }
        if let Some(epoch) = enters {
            own.epoch = epoch;
            own.entered.push((number, epoch));
        }
        let (epoch, at) = (own.epoch, in_epoch(&self.epochs, own.epoch));
        own.step = match own.last {
            Some(last) if enters.is_none() && at > last && at.saturating_sub(last) < AHEAD_MICROS => {
                at.saturating_sub(last)
            }
            _ => own.step,
        };
        own.last = Some(at);
        if epoch + 1 == self.epochs.len() {
            self.now = at;
        }
        if is_picture && !self.epochs[epoch].is_by_picture {
            self.epochs[epoch].is_by_picture = true;
            let off = expected.map_or(0, |expected| expected.saturating_sub(at));
            if off.saturating_abs() <= CORRECTION_MICROS {
                self.correct(epoch, off);
            }
        }
    }

    /// Moves an epoch, so that the picture plays on without a gap.
    fn correct(&mut self, epoch: usize, by: i64) {
        self.epochs[epoch].shift = self.epochs[epoch].shift.saturating_add(by);
        if epoch + 1 == self.epochs.len() {
            self.now = self.now.saturating_add(by);
        }
        for own in self.streams.values_mut().filter(|own| own.epoch == epoch) {
            own.last = own.last.map(|last| last.saturating_add(by));
        }
    }

    /// Returns the jumps, none if there are too many to make sense of.
    pub fn finish(self) -> ClockJumps {
        let count = self.epochs.len() - 1;
        if count == 0 || count > MOST_JUMPS {
            return ClockJumps::default();
        }
        let shift = |stream: u32, (first_packet, epoch): (u64, usize)| ClockShift {
            stream_index: stream,
            first_packet,
            by: ExactTime::from_seconds(Rational::new(self.epochs[epoch].shift, 1_000_000)),
        };
        let of_stream = |(stream, own): (&u32, &Own)| {
            own.entered.iter().map(|entry| shift(*stream, *entry)).collect::<Vec<_>>()
        };
        let shifts = self.streams.iter().flat_map(of_stream).collect();
        ClockJumps { count: u32::try_from(count).unwrap_or(u32::MAX), shifts }
    }
}

/// What the clock of a file of this kind may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClockKind {
    /// Time stamps add up from durations, so they cannot jump.
    Sure,
    /// Time stamps are written out. If they go back, files were joined.
    Written,
    /// A recording of a broadcast, whose clock may start anywhere and go on anywhere.
    Broadcast,
}

impl ClockKind {
    /// Returns the kind of a file with this ffprobe format name.
    pub fn of(format: &str) -> Self {
        let is = |names: &[&str]| format.split(',').any(|name| names.contains(&name));
        if is(&["mpegts", "mpeg"]) {
            Self::Broadcast
        } else if is(&["matroska", "flv", "asf", "nut"]) {
            Self::Written
        } else {
            Self::Sure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: u32 = 0;
    const SOUND: u32 = 1;

    /// A packet of a stream at a time in milliseconds.
    type Packet = (u32, i64);

    /// A piece of film of this many seconds: pictures every 40 ms and sound every 20 ms, from `start_ms` on. Sound is
    /// written this much later than the picture of the same time.
    fn piece(start_ms: i64, seconds: i64, sound_lags_ms: i64) -> Vec<Packet> {
        let pictures = (0..seconds * 25).map(|number| (number * 40, (PICTURE, start_ms + number * 40)));
        let sounds =
            (0..seconds * 50).map(|number| (number * 20 + sound_lags_ms, (SOUND, start_ms + number * 20)));
        let mut all: Vec<(i64, Packet)> = pictures.chain(sounds).collect();
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, packet)| packet).collect()
    }

    /// Returns the shifts as stream, first packet and milliseconds.
    fn shifts(packets: impl IntoIterator<Item = Packet>, follows_leaps: bool) -> Vec<(u32, u64, i64)> {
        let mut clock = Clock::new(follows_leaps);
        for (stream, millis) in packets {
            clock.take(stream, stream == PICTURE, Some(millis * 1000));
        }
        let shifts = clock.finish().shifts;
        shifts.iter().map(|shift| (shift.stream_index, shift.first_packet, shift.by.millis())).collect()
    }

    #[test]
    fn memory_is_bounded_for_a_clock_that_only_jumps() {
        let mut clock = Clock::new(true);
        for number in 0..100_000_i64 {
            let at = if number % 2 == 0 { i64::MAX } else { i64::MIN } / (1 + number % 7);
            clock.take(u32::try_from(number % 3).unwrap(), number % 3 == 0, Some(at));
        }
        assert!(clock.epochs.len() <= MOST_JUMPS + 2);
        assert!(clock.streams.values().all(|own| own.entered.len() <= 2 * MOST_JUMPS + 2));
        assert_eq!(clock.finish(), ClockJumps::default());
    }

    #[test]
    fn steady_clock_does_not_jump() {
        assert_eq!(shifts(piece(1400, 5, 0), true), []);
        let damaged =
            piece(0, 2, 0).into_iter().map(|(stream, at)| (stream, if at == 1000 { 800 } else { at }));
        assert_eq!(shifts(damaged, true), []);
    }

    #[test]
    fn streams_jump_together() {
        let joined = [piece(1400, 5, 0), piece(1400, 5, 0), piece(0, 5, 0)].concat();
        let expected = [(0, 125, 5000), (0, 250, 11_400), (1, 250, 5000), (1, 500, 11_400)];
        assert_eq!(shifts(joined, false), expected);
    }

    #[test]
    fn late_sound_belongs_to_the_piece_before() {
        // At the joint, sound of the first piece follows pictures of the second.
        let mut joined: Vec<(i64, Packet)> = Vec::new();
        for (offset, start) in [(0, 1400), (5000, 100)] {
            joined.extend(piece(start, 5, 0).into_iter().map(|(stream, at)| {
                let lag = if stream == SOUND { 300 } else { 0 };
                (at - start + offset + lag, (stream, at))
            }));
        }
        joined.sort_by_key(|(place, _)| *place);
        let packets = joined.into_iter().map(|(_, packet)| packet);
        assert_eq!(shifts(packets, false), [(0, 125, 6300), (1, 250, 6300)]);
    }

    #[test]
    fn picture_decides_where_sound_jumps_first() {
        // The first piece's sound ends 100 ms after its picture.
        let mut first = piece(0, 4, 0);
        first.extend((0..5).map(|number| (SOUND, 4000 + number * 20)));
        let mut second = piece(0, 4, 0);
        second.sort_by_key(|(stream, at)| (*at / 40, *stream == PICTURE));
        let joined = [first, second].concat();
        assert_eq!(shifts(joined, false), [(0, 100, 4000), (1, 205, 4000)]);
    }

    #[test]
    fn piece_without_sound_keeps_later_pieces_together() {
        let silent = piece(0, 3, 0).into_iter().filter(|(stream, _)| *stream == PICTURE).collect();
        let joined = [piece(0, 3, 0), silent, piece(8000, 3, 0)].concat();
        let found = shifts(joined, false);
        // The third piece goes on from 8 s on its own clock, which is no jump backwards from 3 s.
        assert_eq!(found, [(0, 75, 3000), (1, 150, 3000)]);
    }

    #[test]
    fn leap_ahead_is_a_jump_only_in_broadcasts() {
        let joined = [piece(0, 3, 0), piece(3_600_000, 3, 0)].concat();
        assert_eq!(shifts(joined.clone(), false), []);
        assert_eq!(shifts(joined, true), [(0, 75, -3_597_000), (1, 150, -3_597_000)]);
        let pause = [piece(0, 3, 0), piece(9000, 3, 0)].concat();
        assert_eq!(shifts(pause, true), [], "a pause of six seconds stays");
    }

    #[test]
    fn long_silence_is_no_leap() {
        let quiet = piece(0, 40, 0)
            .into_iter()
            .filter(|(stream, at)| *stream == PICTURE || !(5000..30_000).contains(at));
        assert_eq!(shifts(quiet, true), []);
    }

    #[test]
    fn clock_without_sense_is_left_alone() {
        let mad = (0..5000).map(|number| (PICTURE, if number % 2 == 0 { number } else { 900_000 - number }));
        assert_eq!(shifts(mad, true), []);
    }

    #[test]
    fn only_written_clocks_jump() {
        assert_eq!(ClockKind::of("mov,mp4,m4a,3gp,3g2,mj2"), ClockKind::Sure);
        assert_eq!(ClockKind::of("matroska,webm"), ClockKind::Written);
        assert_eq!(
            (ClockKind::of("mpegts"), ClockKind::of("mpeg")),
            (ClockKind::Broadcast, ClockKind::Broadcast)
        );
    }
}
