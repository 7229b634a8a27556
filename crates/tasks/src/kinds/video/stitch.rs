//! The stitch step: joins the encoded chunks of each rendition into one file. Copies bytes without changing them, takes
//! what was encoded again instead of what was encoded first, and refuses a chunk that does not fit.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use abanico_ffmpeg::command;
use abanico_package::{Mp4Track, StitchedTrack, stitch};
use abanico_plan::{StitchedRendition, TaskId, VideoStitch};

use super::again::again_file;
use super::buffers::{from_chunks, invalid, read_track};
use crate::failure::{self, Failure};
use crate::machine::workbench::Workbench;

const COPY_BYTES: usize = 1 << 20;

/// Joins the chunks.
pub(crate) async fn stitch_chunks(
    bench: &Workbench,
    task: &TaskId,
    video: &VideoStitch,
) -> Result<(), Failure> {
    let _permit = bench.capacity.light().await?;
    let into = bench.begin(task.as_str())?;
    let file = |rendition: u32, number: u32| {
        let again = bench.made(&TaskId::again(rendition)).join(again_file(number));
        let first = || bench.made(&TaskId::chunk(number)).join(command::video_file_name(rendition));
        if again.exists() { again } else { first() }
    };
    let files = |rendition: &StitchedRendition| -> Vec<PathBuf> {
        (0..video.chunks).map(|number| file(rendition.index, number)).collect()
    };
    let filed: Vec<(StitchedRendition, Vec<PathBuf>)> =
        video.renditions.iter().map(|rendition| (rendition.clone(), files(rendition))).collect();
    let written = tokio::task::spawn_blocking(move || {
        filed.iter().try_for_each(|(rendition, files)| {
            join(files, &rendition.frames, &into.join(command::video_file_name(rendition.index)))
        })
    });
    let written = written.await.map_err(|_| failure::broken("stitching ended early"))?;
    written.map_err(from_chunks)?;
    bench.complete(task.as_str()).await
}

/// Joins the chunks of one rendition into `destination`.
fn join(files: &[PathBuf], frames: &[u64], destination: &Path) -> io::Result<()> {
    let tracks: Vec<Mp4Track> = files.iter().map(|file| read_track(file)).collect::<io::Result<_>>()?;
    let StitchedTrack { head, media } = stitch(&tracks, frames).map_err(invalid)?;
    let mut made = BufWriter::with_capacity(COPY_BYTES, File::create(destination)?);
    made.write_all(&head)?;
    for (file, ranges) in files.iter().zip(media) {
        let mut source = BufReader::with_capacity(COPY_BYTES, File::open(file)?);
        for range in ranges {
            source.seek(SeekFrom::Start(range.start))?;
            let wanted = range.end - range.start;
            let copied = io::copy(&mut source.by_ref().take(wanted), &mut made)?;
            if copied != wanted {
                return Err(invalid("an encoded chunk is cut off"));
            }
        }
    }
    made.flush()
}
