//! The verify step: measures a packaged output and compares it with the plan. Returns the measured facts or every
//! difference. A fact that cannot be measured is a difference. The publish step compares the files with the hashes from
//! before this step, so what users get is what was measured here.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::{AudioFacts, OutputFacts, VideoFacts, output_facts};
use abanico_media::{ExactTime, FrameRate, Rational};
use abanico_plan::{PlannedAudio, PlannedFacts, PlannedVideo, Verification};

use crate::failure::{self, Failure};
use crate::files::packaged_files::{Turn, listed};
use crate::machine::workbench::Workbench;
use crate::run::MeasuredOutput;

/// How far audio may start from the video's start: a quarter of the 20 ms at which people begin to notice.
const MAX_START_OFFSET_MS: i64 = 5;
/// How far audio may end from where the source's audio ends: three packets of this length. One for the source's last
/// packet, one for ours, one for the resampler's delay. Longer packets may make up for it.
const USUAL_PACKETS: i64 = 3;
/// Length of an AAC packet of 1024 samples at 48 kHz, in milliseconds, rounded down.
const USUAL_PACKET_MS: i64 = 21;
/// How far an audio packet may start from the end of the one before it, beyond two ticks of the clock. The shortest
/// audio that an encoder or a packager can lose is longer.
const MAX_UNEVENNESS_MS: i64 = 1;

/// By how many samples the stated duration of a Vorbis packet may be wrong: the length of a packet depends on the block
/// size of the next one, and 448 is a quarter of the difference between libvorbis's block sizes, 2048 and 256.
const VORBIS_UNCERTAINTY: i64 = 448;

/// Ticks per second of a clock that is too coarse for most frame rates.
const COARSE_TICKS: i64 = 1000;

/// Compares an output with the plan.
pub(crate) async fn verify(bench: &Workbench, task: &Verification) -> Result<MeasuredOutput, Failure> {
    let _permit = bench.capacity.light().await?;
    let planned = &task.planned;
    let whole = whole_output(bench, task).await?;
    let path = whole.path();
    let measured = output_facts(&bench.machine.tools, path, &bench.cancel).await;
    let found =
        measured.map_err(|error| failure::from_probe(&planned.url, &path.display().to_string(), &error))?;
    let differences = differences(&planned.facts, &found);
    if !differences.is_empty() {
        return Err(failure::from_verification(&planned.url, &differences));
    }
    let video = found.video.as_ref();
    Ok(MeasuredOutput {
        output: task.output,
        url: planned.url.clone(),
        size_bytes: found.size_bytes,
        duration_ms: duration(&found).millis(),
        video_bit_rate_bps: video.map_or(0, |video| video.bit_rate_bps),
        width: video.map_or(0, |video| video.size.width),
        height: video.map_or(0, |video| video.size.height),
    })
}

/// Returns the time from the start of the video, or of the audio if there is no video, to the latest end.
fn duration(found: &OutputFacts) -> ExactTime {
    let sounds = || found.audio.iter();
    let start = found.video.as_ref().map(|video| video.start).or(sounds().map(|audio| audio.start).min());
    let ends = found.video.iter().map(|video| video.end).chain(sounds().map(|audio| audio.end));
    ends.max().zip(start).map_or(ExactTime::ZERO, |(end, start)| end - start)
}

/// An output as one file.
enum WholeOutput {
    /// The file that the user gets.
    Packaged(PathBuf),
    /// Its segments, joined only to verify them.
    Joined(tempfile::TempPath),
}

impl WholeOutput {
    fn path(&self) -> &Path {
        match self {
            Self::Packaged(path) => path,
            Self::Joined(path) => path,
        }
    }
}

/// Returns an output as one file: its only media file, or all of them joined in order.
async fn whole_output(bench: &Workbench, task: &Verification) -> Result<WholeOutput, Failure> {
    let (made, root) = (bench.made(&task.made_by), bench.folders.root().to_owned());
    let joined = tokio::task::spawn_blocking(move || -> io::Result<WholeOutput> {
        let listed = listed(&made)?.into_iter().filter(|(_, file)| file.turn == Turn::Media);
        let media: Vec<PathBuf> = listed.map(|(path, _)| path).collect();
        match &media[..] {
            [] => Err(io::Error::other("the task listed no media")),
            [only] => Ok(WholeOutput::Packaged(only.clone())),
            [first, ..] => Ok(WholeOutput::Joined(joined(&media, first, &root)?)),
        }
    });
    let joined = joined.await.map_err(|_| failure::broken("joining the segments ended early"))?;
    joined.map_err(|error| failure::from_disk("join the segments to verify them", &error))
}

/// Joins files into one below `root`. It is named like `first`, because its kind is known by its name.
fn joined(media: &[PathBuf], first: &Path, root: &Path) -> io::Result<tempfile::TempPath> {
    let suffix = first.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    let file = tempfile::Builder::new().suffix(&suffix.unwrap_or_default()).tempfile_in(root)?;
    let (mut whole, path) = file.into_parts();
    for one in media {
        io::copy(&mut File::open(one)?, &mut whole)?;
    }
    Ok(path)
}

/// Returns every difference between a file and its plan, one phrase each.
pub(crate) fn differences(planned: &PlannedFacts, found: &OutputFacts) -> Vec<String> {
    let mut differences = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            differences.push(what);
        }
    };
    check(
        found.fast_start || !planned.fast_start,
        "the index (moov) is after the data, so playback cannot start at once".to_owned(),
    );
    match (&planned.video, &found.video) {
        (Some(_), None) => check(false, "there is no video".to_owned()),
        (None, Some(_)) => check(false, "there is video that was not planned".to_owned()),
        (Some(planned), Some(video)) => check_video(planned, video, &mut check),
        (None, None) => {}
    }
    match (planned.audio.len(), found.audio.len()) {
        (0, 1..) => check(false, "there is audio that was not planned".to_owned()),
        (1.., 0) => check(false, "there is no audio".to_owned()),
        (wanted, there) => check(there == wanted, format!("{there} audio tracks instead of {wanted}")),
    }
    let start = found.video.as_ref().map(|video| video.start);
    for (planned, audio) in planned.audio.iter().zip(&found.audio) {
        check_audio(planned, audio, start, &mut check);
    }
    differences
}

fn check_video(planned: &PlannedVideo, video: &VideoFacts, check: &mut impl FnMut(bool, String)) {
    check(video.codec == planned.codec, format!("video codec {} instead of {}", video.codec, planned.codec));
    check(
        video.pixel_format == planned.pixel_format,
        format!("pixel format {} instead of {}", video.pixel_format, planned.pixel_format),
    );
    check(video.size == planned.size, format!("size {} instead of {}", video.size, planned.size));
    check(
        video.sample_aspect == planned.sample_aspect,
        format!("sample aspect ratio {} instead of {}", video.sample_aspect, planned.sample_aspect),
    );
    check(
        video.fields == planned.fields,
        format!("field order {:?} instead of {:?}", video.fields, planned.fields),
    );
    if let Some(colour) = &planned.colour {
        let is_right =
            (&video.colour.primaries, &video.colour.transfer, &video.colour.matrix, video.colour.range)
                == (&colour.primaries, &colour.transfer, &colour.matrix, colour.range);
        check(is_right, format!("colours {} instead of {colour}", video.colour));
    }
    check(!video.rotated, "the video is marked as rotated".to_owned());
    check(video.frames == planned.frames, format!("{} frames instead of {}", video.frames, planned.frames));
    let rate_is_right = planned.frames == 1 || has_rate(video, planned.rate);
    let spread = if video.constant { "constant" } else { "varying" };
    check(rate_is_right, format!("{spread} frame rate {} instead of constant {}", video.rate, planned.rate));
    check(video.first_is_key, "the first frame is not a key frame".to_owned());
    let off = (video.end - video.start).distance(planned.duration());
    check(
        off <= planned.rate.frame_duration(),
        format!("the video lasts {} s instead of {} s", video.end - video.start, planned.duration()),
    );
}

/// Returns whether the video has the planned rate. If the clock ticks in milliseconds, as in WebM, the customary form
/// of the mean rate must match; otherwise the rate must match to the tick.
fn has_rate(video: &VideoFacts, planned: FrameRate) -> bool {
    let is_coarse = video.ticks_a_second <= COARSE_TICKS && planned.frame_duration().seconds().den() > 1;
    if is_coarse {
        video.rate.customary() == planned.customary()
    } else {
        video.constant && video.rate == planned
    }
}

/// Compares an audio track with its plan. A file's clock starts with its video: at zero in MP4, later in a transport
/// stream. Without video, the audio sets the clock.
fn check_audio(
    planned: &PlannedAudio,
    audio: &AudioFacts,
    picture_start: Option<ExactTime>,
    check: &mut impl FnMut(bool, String),
) {
    check(audio.codec == planned.codec, format!("audio codec {} instead of {}", audio.codec, planned.codec));
    let (channels, rate) = (planned.channels, planned.sample_rate_hz);
    check(audio.channels == channels, format!("{} audio channels instead of {channels}", audio.channels));
    check(audio.sample_rate_hz == rate, format!("audio at {} Hz instead of {rate}", audio.sample_rate_hz));
    let start = picture_start.unwrap_or(audio.start + planned.lead);
    let is_near = |time: ExactTime| time.distance(start) <= ExactTime::from_millis(MAX_START_OFFSET_MS);
    // If an edit list hides the lead, a packet that is only partly hidden still counts as the first one.
    let starts_right = is_near(audio.start + planned.lead) || planned.hides_lead && is_near(audio.start);
    check(starts_right, format!("audio starts at {} s instead of with the video", audio.start - start));
    let end = audio.end - start;
    let (early, late) = end_offsets(planned);
    check(
        end + early >= planned.end && end <= planned.end + late,
        format!("audio ends at {end} s instead of {} s", planned.end),
    );
    if let Some(fault) = unevenness(planned, audio) {
        check(false, fault);
    }
}

/// Returns how much earlier and how much later than planned audio may end. A source's last packet may hold less audio
/// than it states, and ours may hold more than the source's audio needed.
fn end_offsets(planned: &PlannedAudio) -> (ExactTime, ExactTime) {
    let usual = ExactTime::from_millis(USUAL_PACKET_MS);
    let beyond = |packet: ExactTime| packet.max(usual) - usual;
    let late = ExactTime::from_millis(USUAL_PACKETS * USUAL_PACKET_MS + 1)
        + beyond(own_packet(planned).unwrap_or(usual));
    (late + beyond(planned.source_packet), late)
}

/// Returns the length of an output's audio packets, if all but the last one must be equally long.
fn own_packet(planned: &PlannedAudio) -> Option<ExactTime> {
    let rate = i64::from(planned.sample_rate_hz.max(1));
    planned.packet_samples.map(|samples| ExactTime::from_ticks(samples.into(), Rational::new(1, rate)))
}

/// Returns what is wrong if audio that was encoded here has a gap, an overlap, or more or fewer samples than its time
/// stamps cover. Copied audio has the gaps of its source.
fn unevenness(planned: &PlannedAudio, audio: &AudioFacts) -> Option<String> {
    if planned.is_copied {
        return None;
    }
    let slack = audio.tick + audio.tick + ExactTime::from_millis(MAX_UNEVENNESS_MS);
    let span = audio.end - audio.start;
    let sample = Rational::new(1, i64::from(planned.sample_rate_hz.max(1)));
    let (covered, least) = if let Some(packet) = own_packet(planned) {
        // Stated durations are not needed here, and ffprobe gets some of them wrong at the joints of fragments.
        if let Some((shortest, longest)) = audio.steps
            && [shortest, longest].iter().any(|step| step.distance(packet) > slack)
        {
            return Some(format!("audio packets are {shortest} to {longest} s apart instead of {packet} s"));
        }
        let packets = Rational::from(i64::try_from(audio.packets).unwrap_or(i64::MAX));
        let covered = ExactTime::from_seconds(packet.seconds() * packets);
        // The file may cut the last packet short.
        (covered, covered - packet)
    } else {
        let is_vorbis = planned.codec == "vorbis";
        let uncertain = ExactTime::from_ticks(if is_vorbis { VORBIS_UNCERTAINTY } else { 0 }, sample);
        let off = audio.unevenness;
        if off > slack + uncertain {
            return Some(format!("an audio packet starts {off} s from the end of the one before it"));
        }
        // The sum is exact only on a clock that counts samples.
        if is_vorbis || (audio.tick.seconds() / sample).num() != 1 {
            return None;
        }
        (audio.covered, audio.covered)
    };
    let is_whole = span <= covered + slack && least <= span + slack;
    (!is_whole).then(|| format!("the audio packets hold {covered} s of audio for {span} s"))
}

#[cfg(test)]
mod tests;
