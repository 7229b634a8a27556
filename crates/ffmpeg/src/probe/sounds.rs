//! Decodes sound where the header does not tell enough of it: sound that ffmpeg cannot decode, sound that begins long
//! after the pictures, and sound whose channels or sampling rate change within the track.
//!
//! MP4 files state all that in their header, and are not decoded if they do.

use std::collections::BTreeMap;
use std::path::Path;

use abanico_media::{AudioTrack, SoundForm};
use tokio_util::sync::CancellationToken;

use super::header::{Header, Stream};
use super::reader;
use crate::{Error, ErrorKind, Tools};

/// Codecs whose packets each state their own channels and sampling rate. Recorders of broadcasts switch them.
const MAY_CHANGE: [&str; 10] =
    ["aac", "aac_latm", "ac3", "eac3", "dts", "mlp", "mp1", "mp2", "mp3", "truehd"];
/// Decoded frames to look at where the form cannot change.
const FIRST_FRAMES: &str = "4";
/// Name of the filter whose log lines tell the form, with the stream's index at its end.
const TELLING: &str = "aresample@form";

/// The forms of each stream, in the order in which they come, each once.
type Forms = BTreeMap<u32, Vec<SoundForm>>;

/// Corrects what the header told of the tracks: whether they can be decoded, and their forms.
///
/// # Errors
/// Fails only if `cancel` was triggered.
pub(super) async fn look(
    tools: &Tools,
    file: &Path,
    header: &Header,
    tracks: &mut [AudioTrack],
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let container = header.format.format_name.as_str();
    let mut wanted = Vec::new();
    for track in tracks.iter_mut() {
        let Some(stream) = header.streams.iter().find(|stream| stream.index == track.stream_index) else {
            continue;
        };
        if !stream.has_known_codec() {
            track.is_undecodable = true;
        } else if !is_sure(container, stream) {
            wanted.push((track.stream_index, may_change(container, stream)));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut heard = listen(tools, file, &wanted, cancel).await?;
    // A track that cannot be decoded ends the whole run.
    if let Heard { forms, is_whole: false } = &mut heard
        && wanted.len() > 1
    {
        for one in &wanted {
            forms.extend(listen(tools, file, std::slice::from_ref(one), cancel).await?.forms);
        }
    }
    for track in tracks.iter_mut().filter(|track| wanted.iter().any(|one| one.0 == track.stream_index)) {
        correct(track, heard.forms.remove(&track.stream_index).unwrap_or_default());
    }
    Ok(())
}

/// Whether the header alone tells what the sound is like, all along.
fn is_sure(container: &str, stream: &Stream) -> bool {
    container.starts_with("mov,") && stream.has_known_sound()
}

/// Whether the form may change within the track. Matroska and FLV state that of AAC once.
fn may_change(container: &str, stream: &Stream) -> bool {
    let codec = stream.codec_name.as_deref().unwrap_or_default();
    let is_stated = codec == "aac" && (container.contains("matroska") || container == "flv");
    MAY_CHANGE.contains(&codec) && !is_stated
}

/// What a run told.
struct Heard {
    forms: Forms,
    /// Whether ffmpeg came to the end of all tracks.
    is_whole: bool,
}

/// Decodes tracks, given by stream and whether they are decoded to their ends.
async fn listen(
    tools: &Tools,
    file: &Path,
    wanted: &[(u32, bool)],
    cancel: &CancellationToken,
) -> Result<Heard, Error> {
    let mut after = Vec::new();
    for (index, is_whole) in wanted {
        after.extend([
            "-map".to_owned(),
            format!("0:{index}"),
            "-af".to_owned(),
            format!("{TELLING}{index}"),
        ]);
        if !is_whole {
            after.extend(["-frames:a".to_owned(), FIRST_FRAMES.to_owned()]);
        }
        after.extend(["-f".to_owned(), "null".to_owned(), "-".to_owned()]);
    }
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let options = reader::Options { before: &[], after: &after };
    let mut forms = Forms::new();
    let ended = reader::run_ffmpeg_for_log(tools, file, options, cancel, |line| {
        if let Some((index, form)) = told(line) {
            let of_stream = forms.entry(index).or_default();
            if !of_stream.contains(&form) {
                of_stream.push(form);
            }
        }
    })
    .await;
    match ended {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        ended => Ok(Heard { forms, is_whole: ended.is_ok_and(|ended| ended.exit.is_success()) }),
    }
}

/// Parses a line like `[aresample@form1 @ 0x55] ch:6 chl:5.1(side) fmt:fltp r:48000Hz -> ch:2 …`.
fn told(line: &str) -> Option<(u32, SoundForm)> {
    let (_, rest) = line.split_once(TELLING)?;
    let (index, rest) = rest.split_once(' ')?;
    let (before, _) = rest.split_once(" -> ")?;
    let value = |name: &str| before.split(' ').find_map(|word| word.strip_prefix(name));
    let form = SoundForm {
        channels: value("ch:")?.parse().ok()?,
        layout: value("chl:")?.to_owned(),
        sample_rate_hz: value("r:")?.strip_suffix("Hz")?.parse().ok()?,
    };
    Some((index.parse().ok()?, form))
}

/// Puts what was heard into the track.
fn correct(track: &mut AudioTrack, forms: Vec<SoundForm>) {
    let Some(largest) = forms.iter().rev().max_by_key(|form| form.channels) else {
        track.is_undecodable = true;
        return;
    };
    track.channels = largest.channels;
    track.channel_layout = Some(largest.layout.clone());
    track.sample_rate_hz = forms.iter().map(|form| form.sample_rate_hz).max().unwrap_or(track.sample_rate_hz);
    track.forms = if forms.len() > 1 { forms } else { Vec::new() };
}

#[cfg(test)]
mod tests {
    use abanico_media::ExactTime;

    use super::*;

    fn stream(json: &str) -> Stream {
        serde_json::from_str(json).unwrap()
    }

    fn form(channels: u16, layout: &str, sample_rate_hz: u32) -> SoundForm {
        SoundForm { channels, layout: layout.to_owned(), sample_rate_hz }
    }

    fn heard(forms: Vec<SoundForm>) -> AudioTrack {
        let mut track = AudioTrack {
            stream_index: 1,
            codec: "ac3".into(),
            channels: 0,
            channel_layout: None,
            sample_rate_hz: 0,
            start: ExactTime::ZERO,
            end: ExactTime::ZERO,
            packet: ExactTime::ZERO,
            is_jittery: false,
            language: None,
            is_default: false,
            is_aside: false,
            is_undecodable: false,
            forms: Vec::new(),
            id: None,
        };
        correct(&mut track, forms);
        track
    }

    #[test]
    fn log_line_tells_the_form() {
        let line = "[aresample@form12 @ 0x56] ch:6 chl:5.1(side) fmt:fltp r:48000Hz -> ch:2 chl:stereo fmt:s16 r:44100Hz";
        assert_eq!(told(line), Some((12, form(6, "5.1(side)", 48_000))));
        assert_eq!(
            (told(""), told("[auto_aresample_0 @ 0x1] ch:1 chl:mono fmt:s16 r:1Hz -> ch:1")),
            (None, None)
        );
    }

    #[test]
    fn only_complete_mp4_headers_are_believed() {
        let known = stream(r#"{"codec_name":"aac","sample_fmt":"fltp","channels":2,"sample_rate":"48000"}"#);
        let late = stream(r#"{"codec_name":"aac","sample_fmt":"fltp","channels":0,"sample_rate":"0"}"#);
        let foreign = stream(
            r#"{"codec_name":"mpegh_3d_audio","sample_fmt":"unknown","channels":2,"sample_rate":"48000"}"#,
        );
        assert!(is_sure("mov,mp4,m4a", &known) && !is_sure("mpegts", &known));
        assert!(!is_sure("mov,mp4,m4a", &late) && !is_sure("mov,mp4,m4a", &foreign));
        assert!(may_change("mpegts", &known) && !may_change("matroska,webm", &known));
        assert!(may_change("matroska,webm", &stream(r#"{"codec_name":"ac3"}"#)));
        assert!(!may_change("mpegts", &stream(r#"{"codec_name":"opus"}"#)));
    }

    #[test]
    fn track_is_as_large_as_its_largest_form() {
        let track = heard(vec![form(2, "stereo", 48_000), form(6, "5.1(side)", 44_100)]);
        assert_eq!((track.channels, track.sample_rate_hz, track.forms.len()), (6, 48_000, 2));
        assert_eq!(track.channel_layout.as_deref(), Some("5.1(side)"));
        let plain = heard(vec![form(1, "mono", 8_000)]);
        assert_eq!((plain.channels, plain.forms.len(), plain.is_undecodable), (1, 0, false));
        assert!(heard(vec![]).is_undecodable);
    }
}
