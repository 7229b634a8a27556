//! Builds the command line that gives sound one form where its channels or its sampling rate change within the track.
//! ffmpeg builds its filters anew at each change, and would begin to count the samples again.

use std::ffi::OsString;
use std::path::Path;

use abanico_media::{AudioTrack, MediaInfo};

use super::Args;

/// Name of the copy.
pub const STEADY_FILE: &str = "steady";
/// Times each frame by the end of the one before it, unless it is a tenth of a second away from there: a copy with an
/// unbroken clock has the spacing of the sampling rate that the stream began with.
const EVEN: &str = "asetpts='st(1,if(eq(NB_CONSUMED_SAMPLES,0)+gt(abs(PTS-ld(0)),0.1/TB),PTS,ld(0)));\
                    st(0,ld(1)+NB_SAMPLES/SR/TB);ld(1)',";
/// The only sampling rate of PCM in transport streams (SMPTE 302M), in hertz.
const BROADCAST_HZ: u32 = 48_000;

/// Copies the video track and the audio tracks of `file`, in this order, into [`STEADY_FILE`] in `folder`. Sound that
/// changes its form becomes PCM with as many channels as its largest form; all else is copied. Time stamps stay as they
/// are.
pub fn copy_steady(info: &MediaInfo, file: &Path, folder: &Path) -> Vec<OsString> {
    // Matroska would round the times of a transport stream's pictures to milliseconds, and needs one for each.
    let is_broadcast = info.container.starts_with("mpeg");
    let mut args = Args::of_foreign_files();
    args.foreign_input(file);
    if is_broadcast {
        // Without this flag, ffmpeg spaces the packets between two time stamps by the sampling rate that the stream
        // began with. Pictures need it, so the file is read twice.
        args.all(["-fflags", "+nofillin"]).foreign_input(file);
    }
    if let Some(track) = &info.video {
        args.pair("-map", format!("0:{}", track.stream_index));
    }
    for track in &info.audio {
        let reading = u8::from(is_broadcast && !track.forms.is_empty());
        args.pair("-map", format!("{reading}:{}", track.stream_index));
    }
    args.all(["-c", "copy", "-copyinkf"]);
    for (place, track) in info.audio.iter().enumerate().filter(|(_, track)| !track.forms.is_empty()) {
        let codec = if is_broadcast { "s302m" } else { "pcm_s24le" };
        args.pair(&format!("-c:a:{place}"), codec);
        args.pair(&format!("-filter:a:{place}"), steady(track, is_broadcast, info.jumps.count > 0));
    }
    if is_broadcast {
        // The encoder counts as experimental.
        args.all(["-strict", "-2", "-pes_payload_size", "0", "-mpegts_copyts", "1"]);
    }
    args.output(if is_broadcast { "mpegts" } else { "matroska" }, &folder.join(STEADY_FILE));
    args.finish()
}

/// Returns the filters that give sound its one form.
fn steady(track: &AudioTrack, is_broadcast: bool, jumped: bool) -> String {
    if !is_broadcast {
        let layout = track.forms.iter().find(|form| form.channels == track.channels).map(|form| &form.layout);
        let layout = layout.filter(|layout| !layout.is_empty()).cloned();
        let layout = layout.unwrap_or_else(|| format!("{}c", track.channels));
        return format!("aresample={},aformat=channel_layouts={layout}", track.sample_rate_hz);
    }
    // What its decoder takes two and six channels for. It takes eight for six and a mix of them.
    let layout = if track.channels <= 2 { "stereo" } else { "5.1" };
    let even = if jumped { EVEN } else { "" };
    format!("{even}aresample={BROADCAST_HZ},aformat=sample_fmts=s32:channel_layouts={layout}")
}

#[cfg(test)]
mod tests {
    use abanico_media::{ClockJumps, ExactTime, SoundForm};

    use super::*;

    fn info(container: &str) -> MediaInfo {
        let form =
            |channels, layout: &str| SoundForm { channels, layout: layout.into(), sample_rate_hz: 44_100 };
        let track = |stream_index, forms| AudioTrack {
            stream_index,
            codec: "ac3".into(),
            channels: 6,
            channel_layout: None,
            sample_rate_hz: 44_100,
            start: ExactTime::ZERO,
            end: ExactTime::ZERO,
            packet: ExactTime::ZERO,
            is_jittery: false,
            language: None,
            is_default: false,
            is_aside: false,
            is_undecodable: false,
            forms,
            id: None,
        };
        MediaInfo {
            container: container.into(),
            size_bytes: 1,
            clock_start: ExactTime::ZERO,
            video: None,
            audio: vec![track(3, vec![]), track(5, vec![form(2, "stereo"), form(6, "5.1(side)")])],
            jumps: ClockJumps::default(),
        }
    }

    fn words(container: &str) -> String {
        let args = copy_steady(&info(container), Path::new("in"), Path::new("out"));
        args.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_changing_sound_is_decoded() {
        let copied = words("matroska,webm");
        assert!(copied.contains("-map 0:3 -map 0:5 -c copy -copyinkf -c:a:1 pcm_s24le"), "{copied}");
        assert!(
            copied.contains("-filter:a:1 aresample=44100,aformat=channel_layouts=5.1(side) "),
            "{copied}"
        );
        assert!(!copied.contains("a:0") && copied.ends_with("-f matroska file:out/steady"), "{copied}");
    }

    #[test]
    fn broadcasts_keep_their_container() {
        let copied = words("mpegts");
        assert!(
            copied.contains("-fflags +nofillin") && copied.contains("-map 0:3 -map 1:5 -c copy"),
            "{copied}"
        );
        assert!(copied.contains("-c:a:1 s302m") && copied.contains("aresample=48000"), "{copied}");
        assert!(copied.contains("channel_layouts=5.1 ") && copied.contains("-f mpegts"), "{copied}");
    }
}
