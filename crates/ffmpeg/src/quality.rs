//! Levels the quality of a film: decides from the quality of samples where an encode gets more bits and where
//! fewer.
//!
//! The measurements themselves come from ffmpeg's filters.

use abanico_plan::{QualityMetric, Sampling, Zone};

/// Number of samples per stretch, since a single one says little. All frames of a stretch share one rate
/// factor.
const LOOKS_A_STRETCH: u64 = 2;
/// VMAF of a sample at which the rate factor stays as it is. Samples of four films (drawn, rendered and live
/// action), encoded at rate factor 23 and half the size, scored 92.9 (libx264 of Debian 12, preset veryfast).
/// The target is slightly lower, so that levelled films take as many bits as before.
const USUAL_VMAF: f64 = 92.5;
/// Change of the rate factor per VMAF point, and per decibel of SSIM.
///
/// Measured on those scenes, joined to one film. At rate factor 27, their VMAF had a standard deviation of
/// 2.65, and the worst scene scored 87.7. Levelled by the VMAF of all frames with a factor of 1.0, the
/// deviation was 1.10 and the worst scene 90.4, for as many bits. Samples vary more than the frames they are
/// taken from; their best factor is 0.8. Levelled by SSIM with a factor of 0.4, the deviation was 2.00 and
/// the worst scene 89.5, for 5 % more bits. SSIM compares scenes of different kinds only roughly (its
/// correlation with VMAF was 0.53), so its factor is set a little lower. XPSNR correlated even less (0.48).
const FACTORS_A_VMAF: f64 = 0.8;
const FACTORS_A_DECIBEL: f64 = 0.3;
/// Maximum change of a rate factor, up or down.
const MOST_MOVED_BY_VMAF: f64 = 6.0;
const MOST_MOVED_BY_SSIM: f64 = 3.0;
/// Decibels of SSIM above which differences are invisible.
const MOST_DECIBELS: f64 = 40.0;

/// Parses the measurements of ffmpeg's libvmaf filter (JSON) or SSIM filter (one line per frame). Returns the
/// mean quality of each stretch of the film, `None` for a stretch without a measurement; [`stretch_frames`]
/// is the length of a stretch. Returns `None` if the text has another format.
pub fn read_qualities(sampling: Sampling, text: &str) -> Option<Vec<Option<f64>>> {
    let frames = match sampling.metric {
        QualityMetric::Vmaf => vmaf_of_frames(text)?,
        QualityMetric::Ssim => text.lines().map(ssim_of_frame).collect::<Option<_>>()?,
    };
    let mut stretches: Vec<(u32, f64)> = Vec::new();
    // Frames that are too small to be measured come out as NaN.
    for (frame, quality) in frames.into_iter().filter(|(_, quality)| quality.is_finite()) {
        let number = usize::try_from(frame / (LOOKS_A_STRETCH * sampling.taken).max(1)).ok()?;
        if stretches.len() <= number {
            stretches.resize(number + 1, (0, 0.0));
        }
        stretches[number].0 += 1;
        stretches[number].1 += quality;
    }
    let mean = |(count, sum): (u32, f64)| (count > 0).then(|| sum / f64::from(count));
    Some(stretches.into_iter().map(mean).collect())
}

/// Returns the length of a stretch, in frames of the film.
pub fn stretch_frames(sampling: Sampling) -> u64 {
    LOOKS_A_STRETCH * sampling.every
}

fn vmaf_of_frames(text: &str) -> Option<Vec<(u64, f64)>> {
    let log: serde_json::Value = serde_json::from_str(text).ok()?;
    let of = |frame: &serde_json::Value| {
        Some((frame.get("frameNum")?.as_u64()?, frame.get("metrics")?.get("vmaf")?.as_f64()?))
    };
    log.get("frames")?.as_array()?.iter().map(of).collect()
}

fn ssim_of_frame(line: &str) -> Option<(u64, f64)> {
    let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
    let luma: f64 = field("Y:")?.parse().ok()?;
    // NaN must stay NaN: `max` and `min` would turn it into a number.
    let decibels = if luma.is_nan() {
        luma
    } else {
        (-10.0 * (1.0 - luma).max(f64::MIN_POSITIVE).log10()).min(MOST_DECIBELS)
    };
    Some((field("n:")?.parse::<u64>().ok()?.checked_sub(1)?, decibels))
}

/// Derives changes of the rate factor from the quality of a whole film.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Levels {
    metric: QualityMetric,
    /// Quality at which nothing changes.
    usual: f64,
}

impl Levels {
    /// Creates the levels of a film that was measured with `metric`. SSIM cannot be compared between films,
    /// so the target is the film's own mean. VMAF can, so its target is fixed, and all films get the same
    /// quality.
    pub fn of(metric: QualityMetric, film: impl Iterator<Item = Option<f64>>) -> Self {
        let usual = match metric {
            QualityMetric::Vmaf => USUAL_VMAF,
            QualityMetric::Ssim => {
                let (count, sum) =
                    film.flatten().fold((0_u32, 0.0), |(count, sum), quality| (count + 1, sum + quality));
                sum / f64::from(count.max(1))
            }
        };
        Self { metric, usual }
    }

    /// Returns the zones for an encode of `frames` frames, given the quality of its stretches of `length`
    /// frames each. A stretch without a measurement is treated like the one before it.
    pub fn zones(&self, stretches: &[Option<f64>], length: u64, frames: u64) -> Vec<Zone> {
        let mut zones: Vec<Zone> = Vec::new();
        let mut moved = 0.0;
        let starts = (0..frames).step_by(usize::try_from(length.max(1)).unwrap_or(usize::MAX));
        for (number, first) in starts.enumerate() {
            moved = stretches.get(number).copied().flatten().map_or(moved, |quality| self.moved(quality));
            // libx264 and libx265 divide a zone's quantisers by its share of bits, and six rate factors
            // double a quantiser.
            let bits_permille = (1000.0 * f64::exp2(-moved / 6.0)).round() as u32;
            let last = (first + length).min(frames) - 1;
            match zones.last_mut() {
                Some(zone) if zone.bits_permille == bits_permille && zone.last + 1 == first => {
                    zone.last = last
                }
                _ if bits_permille == 1000 => {}
                _ => zones.push(Zone { first, last, bits_permille }),
            }
        }
        zones
    }

    /// Returns by how much the rate factor rises (if the quality is better than needed) or falls.
    fn moved(&self, quality: f64) -> f64 {
        let better = quality - self.usual;
        match self.metric {
            QualityMetric::Vmaf => (better * FACTORS_A_VMAF).clamp(-MOST_MOVED_BY_VMAF, MOST_MOVED_BY_VMAF),
            QualityMetric::Ssim => {
                (better * FACTORS_A_DECIBEL).clamp(-MOST_MOVED_BY_SSIM, MOST_MOVED_BY_SSIM)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(metric: QualityMetric) -> Sampling {
        Sampling { metric, every: 24, taken: 1 }
    }

    #[test]
    fn measurements_are_parsed_as_filters_write_them() {
        let vmaf = r#"{"version": "2.3.1", "frames": [{"frameNum": 0, "metrics": {"integer_motion2": 0.0, "vmaf": 97.5}},
            {"frameNum": 1, "metrics": {"vmaf": 88.5}}, {"frameNum": 5, "metrics": {"vmaf": 60.0}}], "pooled_metrics": {}}"#;
        let read = |metric, text: &str| read_qualities(sampling(metric), text);
        assert_eq!(read(QualityMetric::Vmaf, vmaf), Some(vec![Some(93.0), None, Some(60.0)]));
        let ssim = "n:1 Y:1.000000 U:0.99 V:0.99 All:0.99 (20.0)\nn:3 Y:0.990000 U:1 V:1 All:1.0 (inf)\n";
        let read_ssim = read(QualityMetric::Ssim, ssim).unwrap();
        assert_eq!(read_ssim[0], Some(MOST_DECIBELS));
        assert!((read_ssim[1].unwrap() - 20.0).abs() < 1e-6, "{read_ssim:?}");
        assert_eq!(
            read(QualityMetric::Ssim, "n:1 Y:nan All:nan (nan)\nn:2 Y:-nan All:nan (nan)\n"),
            Some(vec![])
        );
        assert_eq!(read(QualityMetric::Ssim, "n:1 nonsense"), None);
        assert_eq!(read(QualityMetric::Vmaf, "{}"), None);
    }

    fn zones(metric: QualityMetric, stretches: &[Option<f64>], frames: u64) -> Vec<(u64, u64, u32)> {
        let levels = Levels::of(metric, stretches.iter().copied());
        levels
            .zones(stretches, 48, frames)
            .iter()
            .map(|zone| (zone.first, zone.last, zone.bits_permille))
            .collect()
    }

    #[test]
    fn worse_stretches_get_more_bits() {
        let film = [Some(92.5), Some(88.5), Some(88.5), None, Some(96.5), Some(10.0)];
        let by_vmaf = zones(QualityMetric::Vmaf, &film, 250);
        assert_eq!(by_vmaf, [(48, 191, 1447), (192, 239, 691), (240, 249, 2000)]);
        // SSIM levels to the film's own mean, and less strongly.
        assert_eq!(zones(QualityMetric::Ssim, &[Some(20.0), Some(15.0)], 96), [(0, 47, 917), (48, 95, 1091)]);
        assert_eq!(zones(QualityMetric::Vmaf, &[], 96), []);
    }
}
