//! Budgets of chunks: in what the first passes of all chunks say, out the bit rate of one chunk's renditions, and how full a
//! decoder's buffer is taken to be where it begins. Never more in all than the film may have.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use abanico_ffmpeg::{FirstPass, Spending, chunk_rates, command};
use abanico_media::Size;
use abanico_plan::{Pass, Plan, RateControl, TaskId, TaskKind, VideoEncode};

use super::JobContext;
use super::encode::{begin, complete, light};
use crate::failure;
use crate::job_machine::Failure;

/// How full a decoder's buffer is taken to be where a chunk begins, in per cent: usually it is full, but behind scenes that
/// are as hard as the rate allows it is not. What really was is checked when chunks are joined.
const FULL_PERCENT: u8 = 90;
const HALF_FULL_PERCENT: u8 = 50;

/// Chunks of the film.
pub(super) fn chunks_of(plan: &Plan) -> u32 {
    let stitch = plan.tasks.iter().find_map(|task| match &task.kind {
        TaskKind::StitchVideo(stitch) => Some(stitch.chunks),
        _ => None,
    });
    stitch.unwrap_or(0)
}

/// A chunk whose renditions have bit rates of their own, by what the first passes of all chunks say.
pub(super) fn with_budgets(
    context: &JobContext,
    plan: &Plan,
    encode: &VideoEncode,
) -> Result<VideoEncode, Failure> {
    let number = encode.chunk.unwrap_or(0);
    let mut own = encode.clone();
    for branch in &mut own.branches {
        for rendition in &mut branch.renditions {
            if number > 0 {
                rendition.coding.buffer_fill_percent = Some(FULL_PERCENT);
            }
            let Pass::Second(index) = rendition.pass else { continue };
            let RateControl::Average { bit_rate_bps, max_bit_rate_bps } = rendition.coding.rate_control
            else {
                // Each chunk of a constant rate has that rate.
                if number > 0 {
                    rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT);
                }
                continue;
            };
            let (passes, size) = first_passes(context, plan, index)?;
            let spending = Spending {
                mean_bps: bit_rate_bps,
                ceiling_bps: max_bit_rate_bps,
                area_ratio: rendition.frame.area() as f64 / size.area().max(1) as f64,
                frames_per_second: branch.rate.per_second().approximate(),
            };
            let rates = chunk_rates(&passes, spending);
            let rate = |number: u32| rates.get(number as usize).copied().unwrap_or(bit_rate_bps);
            let is_hard = |rate: u64| rate > max_bit_rate_bps / 10 * 8;
            if number > 0 && (is_hard(rate(number - 1)) || is_hard(rate(number))) {
                rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT);
            }
            rendition.coding.rate_control =
                RateControl::Average { bit_rate_bps: rate(number), max_bit_rate_bps };
        }
    }
    Ok(own)
}

/// Name of the file with the sums, by the index of the first pass and the number of the chunk.
const SUMS_FILE: &str = "sums.json";

/// Sums up the statistics of all chunks, once for all of them.
pub(crate) async fn sum_first_passes(
    context: &JobContext,
    plan: &Plan,
    task: &TaskId,
    chunks: u32,
) -> Result<(), Failure> {
    let _permit = light(context).await?;
    let folder = begin(context, task)?;
    let mut files: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    for number in 0..chunks {
        let id = TaskId::analysis(Some(number));
        for index in first_pass_indices(plan, &id) {
            let file = context.work.task(&id).join(command::statistics_file(index));
            files.entry(index).or_default().push(file);
        }
    }
    let summed = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut sums: BTreeMap<u32, Vec<FirstPass>> = BTreeMap::new();
        for (index, files) in files {
            for file in files {
                sums.entry(index).or_default().push(FirstPass::read(&std::fs::read_to_string(file)?));
            }
        }
        std::fs::write(folder.join(SUMS_FILE), serde_json::to_vec(&sums)?)
    });
    let summed = summed.await.map_err(|_| failure::broken("summing first passes ended early"))?;
    summed.map_err(|error| failure::from_disk("sum up the first passes", &error))?;
    complete(context, task)
}

fn first_pass_indices(plan: &Plan, id: &TaskId) -> Vec<u32> {
    match plan.task(id).map(|task| &task.kind) {
        Some(TaskKind::AnalyseVideo(analysis)) => {
            analysis.renditions().map(|(_, rendition)| rendition.index).collect()
        }
        _ => Vec::new(),
    }
}

/// What the first passes of all chunks say, and the size of their frames.
fn first_passes(context: &JobContext, plan: &Plan, index: u32) -> Result<(Vec<FirstPass>, Size), Failure> {
    let file = context.work.task(&TaskId::first_passes()).join(SUMS_FILE);
    let read = || -> io::Result<BTreeMap<u32, Vec<FirstPass>>> {
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    };
    let mut sums = read().map_err(|error| failure::from_disk("read the sums of the first passes", &error))?;
    let passes = sums.remove(&index).ok_or_else(|| failure::broken("a first pass that nobody made"))?;
    let first = plan.task(&TaskId::analysis(Some(0))).map(|task| &task.kind);
    let Some(TaskKind::AnalyseVideo(analysis)) = first else {
        return Err(failure::broken("an analysis that the plan does not have"));
    };
    let own = analysis.renditions().find(|(_, rendition)| rendition.index == index);
    let size = own.map(|(_, rendition)| rendition.frame);
    Ok((passes, size.ok_or_else(|| failure::broken("a first pass that the plan does not have"))?))
}
