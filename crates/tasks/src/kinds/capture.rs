//! The capture step: captures frames of the input as JPEG images, counts and measures them, and lists them for
//! publishing.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use abanico_ffmpeg::{Finished, command};
use abanico_media::Size;
use abanico_plan::{FrameCapture, TaskId};

use crate::failure::{self, Failure};
use crate::files::packaged_files::{PackagedFile, Turn, list};
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;
use crate::run::MeasuredOutput;

/// Makes the images of one output.
pub(crate) async fn capture_frames(
    bench: &Workbench,
    task: &TaskId,
    capture: &FrameCapture,
) -> Result<(Finished, MeasuredOutput), Failure> {
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let inputs = bench.inputs();
    let args = command::capture_frames(capture, &inputs, &folder);
    let outputs = Outputs { folder: &folder, bounds: bounds::of_capture(capture) };
    let finished = ffmpeg(bench, "capturing frames", args, &inputs, outputs, None).await?;
    let made = measured(capture, &folder)?;
    bench.complete(task.as_str()).await?;
    Ok((finished, made))
}

/// Counts, measures and lists the images. One image fewer than planned is accepted, because a source with a varying
/// rate may end a frame earlier than its mean rate promised.
fn measured(capture: &FrameCapture, folder: &Path) -> Result<MeasuredOutput, Failure> {
    let disk = |error: io::Error| failure::from_disk("read the captured frames", &error);
    let (mut files, mut size_bytes) = (Vec::new(), 0);
    for index in 0..capture.captures {
        let name = command::image_file_name(index);
        let path = folder.join(&name);
        if !path.exists() {
            break;
        }
        let size = jpeg_size(&path).map_err(disk)?;
        if size != Some(capture.frame) {
            let found = size.map_or("no size".to_owned(), |size| size.to_string());
            return Err(failure::from_verification(
                &capture.url(index),
                &[format!("{found} instead of {}", capture.frame)],
            ));
        }
        size_bytes += std::fs::metadata(&path).map_err(disk)?.len();
        files.push(PackagedFile {
            name,
            url: capture.url(index),
            content_type: "image/jpeg".to_owned(),
            is_gzip: false,
            turn: Turn::Media,
        });
    }
    let count = u64::try_from(files.len()).unwrap_or(0);
    if count == 0 || count + 1 < capture.captures {
        let difference = format!("{count} images instead of {}", capture.captures);
        return Err(failure::from_verification(&capture.url(0), &[difference]));
    }
    list(folder, &files).map_err(disk)?;
    Ok(MeasuredOutput {
        output: capture.output,
        url: capture.url(count - 1),
        size_bytes,
        duration_ms: abanico_media::ExactTime::of_frames(count, capture.rate).millis(),
        video_bit_rate_bps: 0,
        width: capture.frame.width,
        height: capture.frame.height,
    })
}

/// Returns the size in a JPEG's frame header (ITU-T T.81, B.2.2); `None` if it has no such header.
fn jpeg_size(path: &Path) -> io::Result<Option<Size>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut marker = [0; 2];
    file.read_exact(&mut marker)?;
    if marker != [0xff, 0xd8] {
        return Ok(None);
    }
    loop {
        let mut head = [0; 4];
        if file.read_exact(&mut head).is_err() || head[0] != 0xff {
            return Ok(None);
        }
        let length = u16::from_be_bytes([head[2], head[3]]).saturating_sub(2);
        // Frame headers are C0 to CF, except for the tables C4, C8 and CC.
        if (0xc0..=0xcf).contains(&head[1]) && !matches!(head[1], 0xc4 | 0xc8 | 0xcc) {
            let mut frame = [0; 5];
            file.read_exact(&mut frame)?;
            let side = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
            return Ok(Some(Size::new(side(frame[3], frame[4]), side(frame[1], frame[2]))));
        }
        io::copy(&mut file.by_ref().take(length.into()), &mut io::sink())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_comes_from_the_frame_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jpg");
        let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
        let table = [0xff, 0xc4, 0, 4, 1, 2];
        let frame = [0xff, 0xc0, 0, 11, 8, 1, 104, 2, 128, 3, 1, 34, 0];
        write(&[[0xff, 0xd8].as_slice(), &table, &frame].concat());
        assert_eq!(jpeg_size(&path).unwrap(), Some(Size::new(640, 360)));
        write(&[[0xff, 0xd8].as_slice(), &table].concat());
        assert_eq!(jpeg_size(&path).unwrap(), None);
        write(b"no jpeg");
        assert_eq!(jpeg_size(&path).unwrap(), None);
    }
}
