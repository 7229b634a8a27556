//! Bit budgets. From the analysis of a whole input, decides the bit rates of one encode's renditions, where they get
//! more or fewer bits, and how full the decoder's buffer is assumed to be where the encode begins. All encodes
//! together get no more bits than the input may have.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::{
    AtRateFactor, FirstPass, Levels, Spending, chunk_rates, command, mean_at_rate_factor, read_qualities,
    stretch_frames,
};
use abanico_plan::{Analysis, Pass, RateControl, TaskId, VideoEncode, VideoRendition, Zone};
use serde::{Deserialize, Serialize};

use crate::failure::{self, Failure};
use crate::machine::workbench::Workbench;

/// Assumed fullness of the decoder's buffer where a chunk begins, in percent. It is usually full, but not after
/// scenes that are as hard as the bit rate allows. The true fullness is checked when the chunks are joined.
const FULL_PERCENT: u8 = 90;
const HALF_FULL_PERCENT: u8 = 50;

/// Returns the encode with its own bit rates and zones, from the analysis of the whole input.
pub(super) fn with_budgets(bench: &Workbench, encode: &VideoEncode) -> Result<VideoEncode, Failure> {
    let number = encode.chunk.unwrap_or(0);
    let mut own = encode.clone();
    for branch in &mut own.branches {
        let frames_per_second = branch.rate.per_second().approximate();
        for rendition in &mut branch.renditions {
            if number > 0 {
                rendition.coding.buffer_fill_percent = Some(FULL_PERCENT);
            }
            match rendition.pass {
                Pass::Only | Pass::First | Pass::Sample(_) => {}
                Pass::Levelled(index) => {
                    let analysed = Analysed::read(bench, encode, index)?;
                    rendition.coding.zones = analysed.zones(number, branch.frames)?;
                }
                Pass::Second(index) => {
                    if number > 0 && matches!(rendition.coding.rate_control, RateControl::Constant { .. }) {
                        rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT);
                    }
                    spend(rendition, number, frames_per_second, || Analysed::read(bench, encode, index))?;
                }
            }
        }
    }
    Ok(own)
}

/// Sets the bit rate of a second pass. Reads the analysis of the input only if it is needed.
fn spend(
    rendition: &mut VideoRendition,
    number: u32,
    frames_per_second: f64,
    analysed: impl FnOnce() -> Result<Analysed, Failure>,
) -> Result<(), Failure> {
    let ceiling_bps = rendition.coding.rate_control.ceiling_bps();
    if matches!(rendition.coding.rate_control, RateControl::Constant { .. }) {
        return Ok(());
    }
    let analysed = analysed()?;
    let passes = analysed.first_passes()?;
    let area_ratio = rendition.frame.area() as f64 / analysed.analysis.area.max(1) as f64;
    let mean_bps = match rendition.coding.rate_control {
        RateControl::Constant { bit_rate_bps } | RateControl::Average { bit_rate_bps, .. } => bit_rate_bps,
        RateControl::Quality { rate_factor_tenths, max_bit_rate_bps, max_mean_bps } => {
            let rate_factor = f64::from(rate_factor_tenths) / 10.0;
            let first_rate_factor = analysed.rate_factor();
            let film = AtRateFactor { rate_factor, first_rate_factor, area_ratio, frames_per_second };
            let wanted = mean_at_rate_factor(&passes, film);
            // libx264 takes whole kilobits, and refuses fewer than the headers of its frames need.
            let whole = wanted.div_ceil(1000).max(1) * 1000;
            whole.min(max_mean_bps.unwrap_or(max_bit_rate_bps)).min(max_bit_rate_bps)
        }
    };
    let rates = chunk_rates(&passes, Spending { mean_bps, ceiling_bps, area_ratio, frames_per_second });
    // An input encoded in one piece simply gets the mean.
    let rate = |number: u32| match rates[..] {
        [_] => mean_bps,
        _ => rates.get(number as usize).copied().unwrap_or(mean_bps),
    };
    let is_hard = |rate: u64| rate > ceiling_bps / 10 * 8;
    if number > 0 && (is_hard(rate(number - 1)) || is_hard(rate(number))) {
        rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT);
    }
    rendition.coding.rate_control =
        RateControl::Average { bit_rate_bps: rate(number), max_bit_rate_bps: ceiling_bps };
    Ok(())
}

/// File with the results of all chunks' analyses, by their index and the number of the chunk.
const SUMS_FILE: &str = "sums.json";

/// Collects the analyses of all chunks in one file, once for all of their encodes.
pub(crate) async fn sum_first_passes(
    bench: &Workbench,
    task: &TaskId,
    chunks: u32,
    analyses: &[Analysis],
) -> Result<(), Failure> {
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let written: Vec<(Analysis, Vec<PathBuf>)> = analyses
        .iter()
        .map(|one| {
            (one.clone(), (0..chunks).map(|number| bench.made(&TaskId::analysis(Some(number)))).collect())
        })
        .collect();
    let summed = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut sums: BTreeMap<u32, Vec<Said>> = BTreeMap::new();
        for (analysis, folders) in &written {
            let said = folders.iter().map(|folder| read(analysis, folder)).collect::<io::Result<_>>()?;
            sums.insert(analysis.index, said);
        }
        std::fs::write(folder.join(SUMS_FILE), serde_json::to_vec(&sums)?)
    });
    let summed = summed.await.map_err(|_| failure::broken("summing first passes ended early"))?;
    summed.map_err(|error| failure::from_disk("sum up the first passes", &error))?;
    bench.complete(task.as_str()).await
}

/// Result of the analysis of one encode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// Bits of a first pass.
    Bits(FirstPass),
    /// Quality of each stretch of a sample; `None` where it was not measured.
    Qualities(Vec<Option<f64>>),
}

/// Reads what the analysis of an input or a chunk wrote into `folder`.
fn read(analysis: &Analysis, folder: &Path) -> io::Result<Said> {
    let text = |name: String| std::fs::read_to_string(folder.join(name));
    if let Pass::Sample(sampling) = analysis.pass {
        let measured = text(command::quality_file(analysis.index))?;
        return Ok(Said::Qualities(read_qualities(sampling, &measured).unwrap_or_default()));
    }
    Ok(Said::Bits(FirstPass::read(&text(command::statistics_file(analysis.index))?)))
}

/// One analysis of a whole input.
struct Analysed {
    /// What was analysed.
    analysis: Analysis,
    /// Results for each encode of the input, in order.
    encodes: Vec<Said>,
}

impl Analysed {
    /// Reads the analysis with this index for an encode.
    fn read(bench: &Workbench, encode: &VideoEncode, index: u32) -> Result<Self, Failure> {
        let analysis = encode.analyses.iter().find(|analysis| analysis.index == index).cloned();
        let analysis = analysis.ok_or_else(|| failure::broken("the task has no such analysis"))?;
        let said = || -> io::Result<Vec<Said>> {
            if encode.chunk.is_none() {
                return Ok(vec![read(&analysis, &bench.made(&TaskId::analysis(None)))?]);
            }
            let file = bench.made(&TaskId::first_passes()).join(SUMS_FILE);
            let mut sums: BTreeMap<u32, Vec<Said>> = serde_json::from_slice(&std::fs::read(file)?)?;
            Ok(sums.remove(&index).unwrap_or_default())
        };
        let encodes = said().map_err(|error| failure::from_disk("read the analysis", &error))?;
        Ok(Self { analysis, encodes })
    }

    /// Returns the rate factor that the analysis encoded with; 0 if it has none.
    fn rate_factor(&self) -> f64 {
        f64::from(self.analysis.rate_factor_tenths) / 10.0
    }

    fn first_passes(&self) -> Result<Vec<FirstPass>, Failure> {
        let bits = |said: &Said| match said {
            Said::Bits(pass) => Ok(*pass),
            Said::Qualities(_) => Err(failure::broken("a sample where a first pass should be")),
        };
        self.encodes.iter().map(bits).collect()
    }

    /// Returns the zones of one encode of this many frames that bring it to the quality of the whole input.
    fn zones(&self, number: u32, frames: u64) -> Result<Vec<Zone>, Failure> {
        let Pass::Sample(sampling) = self.analysis.pass else {
            return Err(failure::broken("a first pass where a sample should be"));
        };
        let qualities = |said: &Said| match said {
            Said::Qualities(qualities) => qualities.clone(),
            Said::Bits(_) => Vec::new(),
        };
        let levels = Levels::of(sampling.metric, self.encodes.iter().flat_map(qualities));
        let own = self.encodes.get(number as usize).map(qualities).unwrap_or_default();
        Ok(levels.zones(&own, stretch_frames(sampling), frames))
    }
}
