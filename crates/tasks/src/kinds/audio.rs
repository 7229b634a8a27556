//! Encodes one audio stream as a whole, brought to its loudness if the job asks for one.

use std::path::Path;

use abanico_ffmpeg::command::Gain;
use abanico_ffmpeg::{Finished, command};
use abanico_plan::{AudioEncode, Loudness, TaskId};

use crate::failure::{self, Failure};
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// Encodes one audio track.
pub(crate) async fn encode(
    bench: &Workbench,
    task: &TaskId,
    encode: &AudioEncode,
) -> Result<Finished, Failure> {
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let inputs = bench.inputs();
    let task_folder = Outputs { folder: &folder, bounds: bounds::of_audio(encode) };
    let gain = match encode.loudness {
        Some(loudness) => {
            let args = command::measure_loudness(encode, &inputs, &folder);
            ffmpeg(bench, "measuring the loudness", args, &inputs, task_folder, None).await?;
            measured_gain(loudness, &folder)?
        }
        None => None,
    };
    let args = command::encode_audio(encode, gain, &inputs, &folder);
    let finished = ffmpeg(bench, "encoding the audio", args, &inputs, task_folder, None).await?;
    bench.complete(task.as_str()).await?;
    Ok(finished)
}

/// Returns the gain that brings the measured audio to its target; `None` for silence and for audio too quiet to be
/// corrected.
fn measured_gain(loudness: Loudness, folder: &Path) -> Result<Option<Gain>, Failure> {
    let file = folder.join(command::LOUDNESS_FILE);
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|error| failure::from_disk("read the measured loudness", &error))?;
    std::fs::remove_file(&file).map_err(|error| failure::from_disk("remove a measurement", &error))?;
    Ok(gain_for(loudness, &text))
}

/// Reads the last `lavfi.r128.I=-23.456`, the loudness of the whole track.
fn gain_for(loudness: Loudness, measurement: &str) -> Option<Gain> {
    let last = measurement.lines().rev().find_map(|line| line.strip_prefix("lavfi.r128.I="))?;
    let measured: f64 = last.trim().parse().ok().filter(|measured: &f64| measured.is_finite())?;
    // -70 LKFS is the absolute gate of BS.1770: nothing louder was measured, so this is silence.
    if measured <= -70.0 || measured < f64::from(loudness.gate_lkfs) {
        return None;
    }
    let millidecibels = loudness.target_millilkfs - (measured * 1000.0).round() as i32;
    Some(Gain { millidecibels, peak_millidbfs: loudness.peak_millidbfs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Loudness = Loudness { target_millilkfs: -23_000, gate_lkfs: -60, peak_millidbfs: None };

    #[test]
    fn last_measurement_gives_the_gain() {
        let text = "frame:0 pts:0\nlavfi.r128.I=-70.000\nframe:1 pts:4800\nlavfi.r128.I=-30.125\n";
        assert_eq!(gain_for(TARGET, text), Some(Gain { millidecibels: 7125, peak_millidbfs: None }));
    }

    #[test]
    fn silence_and_quiet_audio_get_no_gain() {
        for text in
            ["", "lavfi.r128.I=-70.000", "lavfi.r128.I=-61.0", "lavfi.r128.I=nan", "lavfi.r128.I=-inf"]
        {
            assert_eq!(gain_for(TARGET, text), None, "{text}");
        }
    }
}
