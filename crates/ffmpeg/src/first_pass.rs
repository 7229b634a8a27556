//! Predicts bit rates from the statistics of libx264's first pass, for a whole film or for its chunks.
//!
//! The encoder's second pass reads the same statistics file by itself.

use serde::{Deserialize, Serialize};

/// How bits fall as the quantiser rises, as libx264's second pass models it (`qscale2bits` in its rate
/// control): coefficient bits with this power, motion bits with the next.
const COEFFICIENTS_POWER: f64 = 1.1;
const MOTION_POWER: f64 = 0.5;

/// Bits of a run of frames, at the quantisers of its first pass.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FirstPass {
    /// Number of frames.
    pub frames: u64,
    /// Bits of coefficients.
    pub coefficient_bits: u64,
    /// Bits of motion vectors.
    pub motion_bits: u64,
    /// All other bits.
    pub other_bits: u64,
}

impl FirstPass {
    /// Parses a statistics file. Skips lines that do not describe a frame.
    pub fn read(text: &str) -> Self {
        let frames = text.lines().filter(|line| line.starts_with("in:"));
        frames.fold(Self::default(), |sum, line| {
            let field = |name: &str| -> u64 {
                let value = line.split(' ').find_map(|word| word.strip_prefix(name));
                value.and_then(|value| value.parse().ok()).unwrap_or(0)
            };
            Self {
                frames: sum.frames + 1,
                coefficient_bits: sum.coefficient_bits + field("tex:"),
                motion_bits: sum.motion_bits + field("mv:"),
                other_bits: sum.other_bits + field("misc:"),
            }
        })
    }

    /// Returns the bits at quantisers that are `factor` times as large.
    fn bits(self, factor: f64) -> f64 {
        self.coefficient_bits as f64 * factor.powf(-COEFFICIENTS_POWER)
            + self.motion_bits as f64 * factor.powf(-MOTION_POWER)
            + self.other_bits as f64
    }
}

/// How bits grow with the area of a frame at the same quantiser, as libx264 models it for a first pass of
/// another size.
const AREA_POWER: f64 = 0.7;
/// Range in which quantisers are searched, relative to the first pass: a hundredth to a hundred times, to one
/// part in a million.
const FACTORS: (f64, f64) = (0.01, 100.0);
const HALVINGS: u32 = 40;
/// Minimum bit rate of a chunk, even if it is all black.
const LEAST_BPS: u64 = 1000;

/// The bit budget of a rendition.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spending {
    /// Average bit rate of the whole film, in bits per second.
    pub mean_bps: u64,
    /// Highest bit rate of a chunk, in bits per second; at least the average.
    pub ceiling_bps: u64,
    /// Area of a frame, relative to a frame of the first pass.
    pub area_ratio: f64,
    /// Frames per second.
    pub frames_per_second: f64,
}

/// Returns the average bit rate of each chunk of a film, in bits per second. All chunks use the same
/// quantisers, none exceeds the ceiling, and together they meet the film's average.
pub fn chunk_rates(chunks: &[FirstPass], spending: Spending) -> Vec<u64> {
    let ceiling = spending.ceiling_bps.max(spending.mean_bps);
    let seconds = |index: usize| chunks[index].frames as f64 / spending.frames_per_second;
    let mut rates = vec![ceiling; chunks.len()];
    let mut left: f64 = (0..chunks.len()).map(seconds).sum::<f64>() * spending.mean_bps as f64;
    // Chunks that would exceed the ceiling stay at it. The others share the remaining bits, which may lift
    // some of them to the ceiling too.
    let mut free: Vec<usize> = (0..chunks.len()).filter(|index| chunks[*index].frames > 0).collect();
    while !free.is_empty() {
        let of_free: Vec<FirstPass> = free.iter().map(|index| chunks[*index]).collect();
        let factor = factor_for(&of_free, left, spending.area_ratio);
        let sum: f64 = of_free.iter().map(|chunk| chunk.bits(factor)).sum();
        let rate = |index: usize| left * chunks[index].bits(factor) / sum.max(1.0) / seconds(index);
        let (above, below): (Vec<usize>, Vec<usize>) =
            free.iter().partition(|index| rate(**index) > ceiling as f64);
        if above.is_empty() {
            below.iter().for_each(|index| rates[*index] = (rate(*index).round() as u64).max(LEAST_BPS));
            break;
        }
        left -= above.iter().map(|index| ceiling as f64 * seconds(*index)).sum::<f64>();
        free = below;
    }
    rates
}

/// A film at one rate factor, and the first pass at another that predicts it.
#[derive(Clone, Copy, Debug)]
pub struct AtRateFactor {
    /// The film's rate factor.
    pub rate_factor: f64,
    /// The first pass's rate factor.
    pub first_rate_factor: f64,
    /// As in [`Spending`].
    pub area_ratio: f64,
    /// As in [`Spending`].
    pub frames_per_second: f64,
}

/// Predicts a film's average bit rate in bits per second.
pub fn mean_at_rate_factor(chunks: &[FirstPass], film: AtRateFactor) -> u64 {
    // Six rate factors double a quantiser.
    let factor = ((film.rate_factor - film.first_rate_factor) / 6.0).exp2();
    let of_all: f64 = chunks.iter().map(|chunk| chunk.bits(factor)).sum();
    let bits = of_all * film.area_ratio.powf(AREA_POWER);
    let frames: u64 = chunks.iter().map(|chunk| chunk.frames).sum();
    (bits * film.frames_per_second / frames.max(1) as f64).ceil() as u64
}

/// Returns how many times larger the quantisers are than in the first pass, if frames of `area_ratio` times
/// the area are to take `bits` bits.
fn factor_for(chunks: &[FirstPass], bits: f64, area_ratio: f64) -> f64 {
    let wanted = bits / area_ratio.powf(AREA_POWER);
    let (mut low, mut high) = FACTORS;
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        let taken: f64 = chunks.iter().map(|chunk| chunk.bits(middle)).sum();
        if taken > wanted { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATISTICS: &str = "#options: 960x540 fps=25/1\n\
        in:0 out:0 type:I dur:2 cpbdur:2 q:20.00 aq:18.50 tex:900 mv:50 misc:50 imb:9 pmb:0 smb:0 d:- ref:;\n\
        in:2 out:1 type:P dur:2 cpbdur:2 q:22.00 aq:20.50 tex:100 mv:80 misc:20 imb:0 pmb:9 smb:0 d:- ref:0 ;\n";

    fn chunk(frames: u64, bits: u64) -> FirstPass {
        FirstPass { frames, coefficient_bits: bits * 8 / 10, motion_bits: bits / 10, other_bits: bits / 10 }
    }

    fn spending(mean_bps: u64, ceiling_bps: u64) -> Spending {
        Spending { mean_bps, ceiling_bps, area_ratio: 4.0, frames_per_second: 25.0 }
    }

    #[test]
    fn only_lines_of_frames_are_read() {
        let read = FirstPass::read(STATISTICS);
        assert_eq!(read, FirstPass { frames: 2, coefficient_bits: 1000, motion_bits: 130, other_bits: 70 });
        assert_eq!(FirstPass::read("nonsense"), FirstPass::default());
    }

    #[test]
    fn bits_follow_rate_factor_and_area() {
        let film = [FirstPass { frames: 25, coefficient_bits: 1_000_000, ..FirstPass::default() }];
        let mean = |rate_factor, area_ratio| {
            let (first_rate_factor, frames_per_second) = (23.0, 25.0);
            let at = AtRateFactor { rate_factor, first_rate_factor, area_ratio, frames_per_second };
            mean_at_rate_factor(&film, at)
        };
        assert_eq!(mean(23.0, 1.0), 1_000_000);
        assert_eq!(mean(29.0, 1.0), 466_517);
        assert_eq!(mean(23.0, 4.0), 2_639_016);
    }

    #[test]
    fn harder_chunks_get_more_at_the_same_mean() {
        let rates =
            chunk_rates(&[chunk(250, 1_000_000), chunk(250, 3_000_000)], spending(2_000_000, 9_000_000));
        assert_eq!(rates, [1_000_000, 3_000_000]);
        let of_other_lengths =
            chunk_rates(&[chunk(250, 1_000_000), chunk(500, 2_000_000)], spending(2_000_000, 9_000_000));
        assert!(of_other_lengths[0].abs_diff(of_other_lengths[1]) < 10, "{of_other_lengths:?}");
    }

    #[test]
    fn motion_bits_fall_less_as_quantisers_rise() {
        let all = 40_000_000;
        let moving = FirstPass { frames: 250, coefficient_bits: 0, motion_bits: all, other_bits: 0 };
        let still = FirstPass { coefficient_bits: all, motion_bits: 0, ..moving };
        // The budget is far smaller than the bits of the first pass.
        let rates = chunk_rates(&[moving, still], spending(1_000_000, 9_000_000));
        assert!(rates[0] > 2 * rates[1], "{rates:?}");
        assert!(rates.iter().sum::<u64>().abs_diff(2_000_000) < 10, "{rates:?}");
    }

    #[test]
    fn chunks_above_the_ceiling_leave_bits_to_others() {
        let chunks = [chunk(250, 100_000), chunk(250, 200_000), chunk(250, 20_000_000)];
        let rates = chunk_rates(&chunks, spending(2_000_000, 3_000_000));
        assert_eq!(rates[2], 3_000_000);
        assert!((rates[0] + rates[1]).abs_diff(3_000_000) < 10 && rates[1] > rates[0], "{rates:?}");
        assert_eq!(chunk_rates(&chunks, spending(2_000_000, 2_000_000)), [2_000_000; 3], "a constant rate");
        assert_eq!(
            chunk_rates(&[chunk(0, 0), chunk(9, 0)], spending(5, 7)).len(),
            2,
            "nothing is divided by zero"
        );
    }
}
