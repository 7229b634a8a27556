//! Compares the frames around a joint of two chunks with the source, which is read from farther back for that than the
//! chunk was. Finds frames that are missing, moved, or show something else. Judges what is shown, not how well it is
//! encoded, and changes no chunk.

use std::path::{Path, PathBuf};

use abanico_ffmpeg::command::{self, JOINT_PICTURE, MadeFiles};
use abanico_media::ExactTime;
use abanico_plan::{ChunkJoint, Joint, TaskId, VideoEncode};
use serde::{Deserialize, Serialize};

use super::encode::described;
use crate::bounds;
use crate::caged::{Outputs, ffmpeg};
use crate::failure::{self, Failure};
use crate::workbench::Workbench;

/// File with what a look at a joint has found.
const JOINT_FILE: &str = "joint.json";
/// Bytes of a shown frame.
const FRAME_BYTES: usize = JOINT_PICTURE.width as usize * JOINT_PICTURE.height as usize;
/// How far frames are looked for from where they should be.
const MOST_SHIFT: usize = 2;
/// Side of a square cell of a shown frame in pixels; there are 16 × 9 cells.
const CELL: usize = 4;
/// How many grey levels of 255 the mean of a cell may be off. Encoding blurs detail but keeps means: in five real films
/// at 90 kb/s no cell of 640 × 360 was so far off, in noise that also flickers 15 were.
const MOST_LEVELS: i64 = 24;
/// If more cells of 144 are farther off than that, the chunk is worth a second encode.
const MOST_CELLS: usize = 7;
/// From so many cells on, the picture certainly shows something else.
const OTHER_PICTURE: usize = 36;
/// A shift counts only if the frames fit this many levels per pixel better there, and half as well again. A still scene
/// fits everywhere.
const LEAST_GAIN: f64 = 1.0;
const LEAST_RATIO: f64 = 1.5;

/// What is wrong at a joint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// Frames are missing: there are this many of as many.
    Missing { found: usize, wanted: usize },
    /// The frames fit the source only this many frames later, or earlier if negative.
    Shifted(i64),
    /// A frame shows something else: this many of its 144 cells.
    Different { cells: usize },
}

impl Fault {
    /// Whether no shortage of bits can explain it.
    pub fn is_certain(self) -> bool {
        !matches!(self, Self::Different { cells } if cells < OTHER_PICTURE)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { found, wanted } => write!(f, "{found} frames instead of {wanted}"),
            Self::Shifted(frames) => write!(f, "frames are off by {frames}"),
            Self::Different { cells } => write!(f, "{} % of a picture differ", cells * 100 / CELLS),
        }
    }
}

/// Number of cells of a frame.
const CELLS: usize = FRAME_BYTES / (CELL * CELL);

/// A joint that does not show what the source shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct BrokenJoint {
    /// Number of the chunk that does not fit.
    pub chunk: u32,
    /// Whether it is the chunk before the joint, whose end it is.
    pub is_end: bool,
    /// Index of the rendition.
    pub rendition: u32,
    /// The joint's time in the film.
    pub time: ExactTime,
    /// What is wrong.
    pub fault: Fault,
}

/// What a look at a joint has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Looked {
    /// From where the source was read.
    pub joint: Joint,
    /// What is wrong, by chunk and rendition.
    pub broken: Vec<BrokenJoint>,
}

impl Looked {
    /// Reads what the task for the joint of this chunk with the one before it has found.
    pub fn read(bench: &Workbench, chunk: u32) -> Result<Self, Failure> {
        let read = || {
            Ok(serde_json::from_slice(&std::fs::read(bench.made(&TaskId::joint(chunk)).join(JOINT_FILE))?)?)
        };
        read()
            .map_err(|error: std::io::Error| failure::from_disk("read what a look at a joint found", &error))
    }
}

/// Compares a joint with the source. Returns the CPU time of child processes in milliseconds.
pub(crate) async fn compare_joint(
    bench: &Workbench,
    task: &TaskId,
    ChunkJoint { chunk, joint }: ChunkJoint,
) -> Result<u64, Failure> {
    let seam = Seam::of(bench, chunk, joint)?;
    let made: Vec<u32> = seam.after.renditions().map(|(_, rendition)| rendition.index).collect();
    let made: Vec<MadeFiles> = made
        .into_iter()
        .map(|index| {
            let name = command::video_file_name(index);
            let file = |number: u32| bench.made(&TaskId::chunk(number)).join(&name);
            seam.made(index, file(chunk - 1), file(chunk))
        })
        .collect();
    let folder = bench.begin(task.as_str())?;
    let (broken, cpu_ms) = seam.look(bench, &made, &folder).await?;
    let text = serde_json::to_vec(&Looked { joint, broken });
    let text = text.map_err(|error| failure::broken(&error.to_string()))?;
    let written = std::fs::write(folder.join(JOINT_FILE), text);
    written.map_err(|error| failure::from_disk("write what a look at a joint found", &error))?;
    bench.complete(task.as_str()).await?;
    Ok(cpu_ms)
}

/// Where two chunks meet.
pub(super) struct Seam {
    /// Number of the second chunk.
    number: u32,
    joint: Joint,
    before: VideoEncode,
    after: VideoEncode,
}

impl Seam {
    /// Returns the seam of a chunk, which is not the first, with the one before it.
    pub fn of(bench: &Workbench, number: u32, joint: Joint) -> Result<Self, Failure> {
        let first = || failure::broken("the first chunk has no joint");
        let before = described(bench, number.checked_sub(1).ok_or_else(first)?)?;
        Ok(Self { number, joint, before, after: described(bench, number)? })
    }

    /// Returns the files of a rendition that meet here.
    pub fn made(&self, rendition: u32, before: PathBuf, after: PathBuf) -> MadeFiles {
        let own = self.before.encoded().find(|(_, one)| one.index == rendition);
        let first_frame = own.and_then(|(branch, _)| branch.run).map_or(0, |run| run.first);
        MadeFiles { rendition, first_frame, files: vec![before, after] }
    }

    /// Compares the files with the source. Writes into `folder`, and removes it again, what is compared. Returns what is
    /// broken by chunk and rendition, and the CPU time of child processes in milliseconds.
    pub async fn look(&self, bench: &Workbench, made: &[MadeFiles], folder: &Path) -> Look {
        let _permit = bench.capacity.light().await?;
        let own: Vec<u32> = made.iter().map(|made| made.rendition).collect();
        let around = self.joint.between(&self.before, &self.after).only(&own);
        let inputs = bench.inputs();
        let args = command::show_joint(&around, &inputs, made, folder);
        let shown = made.iter().flat_map(|made| made.files.clone());
        let read: Vec<PathBuf> = inputs.into_iter().chain(shown).collect();
        let outputs = Outputs { folder, bounds: bounds::of_video(&around) };
        let finished = ffmpeg(bench, "comparing a joint with the source", args, &read, outputs, None).await?;
        let mut broken = compared(self.number, &self.after, &around, folder)?;
        broken.sort_by_key(|joint: &BrokenJoint| (joint.chunk, joint.rendition));
        for name in own.into_iter().flat_map(command::joint_files) {
            let removed = std::fs::remove_file(folder.join(name));
            removed.map_err(|error| failure::from_disk("remove the frames around a joint", &error))?;
        }
        Ok((broken, finished.cpu_ms()))
    }
}

type Look = Result<(Vec<BrokenJoint>, u64), Failure>;

fn compared(
    number: u32,
    chunk: &VideoEncode,
    around: &VideoEncode,
    folder: &Path,
) -> Result<Vec<BrokenJoint>, Failure> {
    let mut broken = Vec::new();
    for (branch, rendition) in around.encoded() {
        let first = branch.run.map_or(0, |run| run.first);
        let starts = chunk.encoded().find(|(_, one)| one.index == rendition.index);
        let start = starts.and_then(|(branch, _)| branch.run).map_or(0, |run| run.first);
        let [source, made] =
            command::joint_files(rendition.index).map(|name| std::fs::read(folder.join(name)));
        let read = |frames: std::io::Result<Vec<u8>>| {
            frames.map_err(|error| failure::from_disk("read the frames around a joint", &error))
        };
        let before = usize::try_from(start.saturating_sub(first)).unwrap_or(0);
        let (source, made) = (read(source)?, read(made)?);
        let pairs = source.chunks_exact(FRAME_BYTES).zip(made.chunks_exact(FRAME_BYTES));
        let cells = pairs.map(|(one, other)| cells_off(one, other)).max();
        tracing::debug!(number, rendition = rendition.index, cells, "compared a joint with the source");
        for (is_before, fault) in faults(&source, &made, before) {
            broken.push(BrokenJoint {
                chunk: number - u32::from(is_before),
                is_end: is_before,
                rendition: rendition.index,
                time: ExactTime::of_frames(start, branch.rate),
                fault,
            });
        }
    }
    Ok(broken)
}

/// Compares the frames that were made with those of the source; the joint comes after the first `before` frames. Returns
/// what is wrong, and whether it is wrong before the joint.
fn faults(source: &[u8], made: &[u8], before: usize) -> Vec<(bool, Fault)> {
    let frames = |bytes: &[u8]| bytes.len() / FRAME_BYTES;
    let wanted = frames(source);
    if frames(made) != wanted {
        return vec![(false, Fault::Missing { found: frames(made), wanted })];
    }
    let parts = [(false, before..wanted), (true, 0..before)];
    let fault = |part: std::ops::Range<usize>| {
        let shifted = shift(source, made, part.clone()).map(Fault::Shifted);
        shifted.or_else(|| {
            let cells = part.map(|frame| cells_off(at(source, frame), at(made, frame))).max()?;
            (cells > MOST_CELLS).then_some(Fault::Different { cells })
        })
    };
    parts.into_iter().filter_map(|(is_before, part)| Some((is_before, fault(part)?))).collect()
}

fn at(frames: &[u8], number: usize) -> &[u8] {
    &frames[number * FRAME_BYTES..(number + 1) * FRAME_BYTES]
}

/// Returns how many frames later these frames of `made` fit the source clearly better; `None` if they are in place.
fn shift(source: &[u8], made: &[u8], part: std::ops::Range<usize>) -> Option<i64> {
    let all = source.len() / FRAME_BYTES;
    // How far each frame is from its own place, and from the place that many frames later.
    let pairs = |shift: i64| -> Vec<(f64, f64)> {
        let place = |frame: usize| usize::try_from(i64::try_from(frame).ok()? + shift).ok();
        let pairs = part.clone().filter_map(|frame| {
            let other = place(frame).filter(|other| *other < all)?;
            let shown = at(made, frame);
            Some((levels_apart(at(source, frame), shown), levels_apart(at(source, other), shown)))
        });
        pairs.collect()
    };
    let gain = |pairs: &[(f64, f64)]| {
        let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
        let (own, other) = (sum(|pair| pair.0), sum(|pair| pair.1));
        // An encoder with too few bits repeats what it has, so most of its frames look like earlier ones. But then
        // some frame, at least the first of a chunk, fits better where it is.
        let has_one_in_place = pairs.iter().any(|(own, other)| own + LEAST_GAIN / 2.0 < *other);
        let mean = (own - other) / pairs.len() as f64;
        (!has_one_in_place && mean > LEAST_GAIN && other * LEAST_RATIO < own).then_some(mean)
    };
    let most = i64::try_from(MOST_SHIFT).unwrap_or(0);
    let shifts = (-most..=most).filter(|shift| *shift != 0);
    let better = shifts.filter_map(|shift| Some((gain(&pairs(shift))?, shift)));
    better.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, shift)| shift)
}

/// Returns the mean difference of two frames in grey levels per pixel.
fn levels_apart(one: &[u8], other: &[u8]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / FRAME_BYTES as f64
}

/// Returns in how many cells the means of two frames are far apart.
fn cells_off(one: &[u8], other: &[u8]) -> usize {
    let (across, down) = (JOINT_PICTURE.width as usize / CELL, JOINT_PICTURE.height as usize / CELL);
    let sum = |frame: &[u8], column: usize, row: usize| -> i64 {
        let line = |y: usize| {
            let from = (row * CELL + y) * JOINT_PICTURE.width as usize + column * CELL;
            frame[from..from + CELL].iter().map(|level| i64::from(*level)).sum::<i64>()
        };
        (0..CELL).map(line).sum()
    };
    let pixels = i64::try_from(CELL * CELL).unwrap_or(1);
    let is_off = |(column, row): (usize, usize)| {
        (sum(one, column, row) - sum(other, column, row)).abs() > MOST_LEVELS * pixels
    };
    (0..down)
        .flat_map(|row| (0..across).map(move |column| (column, row)))
        .filter(|cell| is_off(*cell))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a bright square that moves two pixels a frame over a slope.
    fn frame(number: usize) -> Vec<u8> {
        let width = JOINT_PICTURE.width as usize;
        (0..FRAME_BYTES)
            .map(|pixel| {
                let (x, y) = (pixel % width, pixel / width);
                let from = (number * 2) % 48;
                if (from..from + 16).contains(&x) && (10..26).contains(&y) { 220 } else { 40 + x as u8 }
            })
            .collect()
    }

    fn film(numbers: impl IntoIterator<Item = usize>) -> Vec<u8> {
        numbers.into_iter().flat_map(frame).collect()
    }

    /// Returns what is wrong, which is one thing at most.
    fn fault(source: &[u8], made: &[u8], before: usize) -> Option<(bool, Fault)> {
        let all = faults(source, made, before);
        assert!(all.len() <= 1, "{all:?}");
        all.first().copied()
    }

    /// Adds what an encoder may change: up to 12 levels, mostly noise.
    fn coarse(mut frames: Vec<u8>) -> Vec<u8> {
        for (place, level) in frames.iter_mut().enumerate() {
            let noise = (place * 7919 % 25) as i16 - 12;
            *level = (i16::from(*level) + noise).clamp(0, 255) as u8;
        }
        frames
    }

    #[test]
    fn coarsely_encoded_frames_are_in_place() {
        assert_eq!(fault(&film(0..16), &coarse(film(0..16)), 4), None);
    }

    #[test]
    fn frames_that_are_lost_or_repeated_are_seen_on_their_side() {
        let lost = film((0..4).chain(5..17));
        assert_eq!(fault(&film(0..16), &coarse(lost), 4), Some((false, Fault::Shifted(1))));
        let repeated = film((0..4).chain(3..15));
        assert_eq!(fault(&film(0..16), &repeated, 4), Some((false, Fault::Shifted(-1))));
        let early = film((1..5).chain(4..16));
        assert_eq!(fault(&film(0..16), &early, 4), Some((true, Fault::Shifted(1))));
        let short = film(0..15);
        assert_eq!(fault(&film(0..16), &short, 4), Some((false, Fault::Missing { found: 15, wanted: 16 })));
    }

    #[test]
    fn both_sides_of_a_joint_are_told() {
        let both = film([1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let wanted = vec![(false, Fault::Shifted(-1)), (true, Fault::Shifted(1))];
        assert_eq!(faults(&film(0..16), &both, 4), wanted);
    }

    #[test]
    fn encoder_that_repeats_itself_is_in_place_if_its_first_frame_is() {
        let lagging = film((0..4).chain([4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]));
        assert_eq!(
            fault(&film(0..16), &lagging, 4).filter(|(_, fault)| matches!(fault, Fault::Shifted(_))),
            None
        );
    }

    #[test]
    fn still_scene_is_never_shifted() {
        let still = film(std::iter::repeat_n(3, 16));
        assert_eq!(fault(&still, &coarse(still.clone()), 4), None);
    }

    #[test]
    fn frame_with_a_part_that_was_not_decoded_is_seen() {
        let mut broken = film(0..16);
        let from = 6 * FRAME_BYTES;
        // The upper third of one frame is grey.
        broken[from..from + FRAME_BYTES / 3].fill(128);
        assert!(matches!(fault(&film(0..16), &broken, 4), Some((false, Fault::Different { cells: 8.. }))));
        let mut broken = film(0..16);
        broken[..FRAME_BYTES / 3].fill(128);
        assert!(matches!(fault(&film(0..16), &broken, 4), Some((true, Fault::Different { cells: 8.. }))));
    }
}
