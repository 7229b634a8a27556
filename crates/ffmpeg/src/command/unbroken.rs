//! Builds the command line that copies a file whose clock jumps into one whose clock runs on. It encodes nothing, and
//! the copy holds only the tracks that a job may use.

use std::ffi::OsString;
use std::path::Path;

use abanico_media::{ClockShift, MediaInfo, Rational};

use super::Args;

/// Name of the copy.
pub const UNBROKEN_FILE: &str = "unbroken";

/// Copies the video track and the audio tracks of `file`, in this order, into [`UNBROKEN_FILE`] in `folder`, with the
/// jumps of the clock taken out. All streams are shifted by the same times, so audio and video stay together.
pub fn copy_unbroken(info: &MediaInfo, file: &Path, folder: &Path) -> Vec<OsString> {
    // `-copyts` also turns off ffmpeg's own idea of jumps, which takes a late packet for one.
    let mut args = Args::of_foreign_files();
    args.foreign_input(file);
    let video = info.video.iter().map(|track| track.stream_index);
    let tracks: Vec<u32> = video.chain(info.audio.iter().map(|track| track.stream_index)).collect();
    for index in &tracks {
        args.pair("-map", format!("0:{index}"));
    }
    // `-copyinkf` keeps packets before the first key frame, so that the packets' numbers are those that the probe
    // counted.
    args.all(["-c", "copy", "-copyinkf"]);
    for (place, index) in tracks.iter().enumerate() {
        let of_stream: Vec<&ClockShift> =
            info.jumps.shifts.iter().filter(|shift| shift.stream_index == *index).collect();
        if !of_stream.is_empty() {
            args.pair(&format!("-bsf:{place}"), shifted(&of_stream));
        }
    }
    // The copy's clock must tick like the file's: ffmpeg counts a packet's time in the copy's ticks where `TB` is the
    // length of the file's (seen with 5.1.9, and audio in NUT).
    let is_broadcast = info.container.starts_with("mpeg");
    if is_broadcast {
        // One packet each, with its own time, and no room before the first one.
        args.all(["-pes_payload_size", "0", "-mpegts_copyts", "1"]);
    }
    args.output(if is_broadcast { "mpegts" } else { "matroska" }, &folder.join(UNBROKEN_FILE));
    args.finish()
}

/// Returns the bitstream filter that adds each shift from its packet on.
fn shifted(shifts: &[&ClockShift]) -> String {
    let mut terms = Vec::new();
    let mut before = Rational::ZERO;
    for shift in shifts {
        let by = shift.by.seconds() - before;
        before = shift.by.seconds();
        terms.push(format!("gte(N,{})*({}/{})", shift.first_packet, by.num(), by.den()));
    }
    let by = terms.join("+");
    // A packet without a time has the least number of all, and keeps it.
    let shifted = |time: &str| format!("'if(lt({time},-9e18),{time},{time}+round(({by})/TB))'");
    format!("setts=pts={}:dts={}", shifted("PTS"), shifted("DTS"))
}

#[cfg(test)]
mod tests {
    use abanico_media::ExactTime;

    use super::*;

    #[test]
    fn shifts_are_added_in_steps() {
        let shift = |first_packet, millis| ClockShift {
            stream_index: 1,
            first_packet,
            by: ExactTime::from_millis(millis),
        };
        let (first, second) = (shift(125, 5000), shift(250, 3500));
        assert_eq!(
            shifted(&[&first, &second]),
            "setts=pts='if(lt(PTS,-9e18),PTS,PTS+round((gte(N,125)*(5/1)+gte(N,250)*(-3/2))/TB))':\
             dts='if(lt(DTS,-9e18),DTS,DTS+round((gte(N,125)*(5/1)+gte(N,250)*(-3/2))/TB))'"
        );
    }
}
