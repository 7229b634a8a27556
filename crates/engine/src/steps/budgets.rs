//! Budgets of chunks: in what the first passes of all chunks say, out the bit rate of one chunk's renditions, and how full a
//! decoder's buffer is taken to be where it begins. Never more in all than the film may have.

use abanico_ffmpeg::{FirstPass, Spending, chunk_rates, command};
use abanico_media::Size;
use abanico_plan::{Pass, Plan, RateControl, TaskId, TaskKind, VideoEncode};

use super::JobContext;
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
                rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT).filter(|_| number > 0);
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

/// What the first passes of all chunks say, and the size of their frames.
fn first_passes(context: &JobContext, plan: &Plan, index: u32) -> Result<(Vec<FirstPass>, Size), Failure> {
    let mut passes = Vec::new();
    let mut size = Size::new(1, 1);
    for number in 0..chunks_of(plan) {
        let id = TaskId::analysis(Some(number));
        let file = context.work.task(&id).join(command::statistics_file(index));
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| failure::from_disk("read a first pass's statistics", &error))?;
        passes.push(FirstPass::read(&text));
        if let Some(TaskKind::AnalyseVideo(analysis)) = plan.task(&id).map(|task| &task.kind) {
            let own = analysis.renditions().find(|(_, rendition)| rendition.index == index);
            size = own.map_or(size, |(_, rendition)| rendition.frame);
        }
    }
    Ok((passes, size))
}
