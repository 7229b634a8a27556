//! The audio part of a plan: in an output's audio description and the input's tracks, out what to encode.
//! Never cut into pieces: sound is encoded whole, once for all outputs that want the same.

use std::collections::BTreeMap;

use abanico_media::{AudioTrack, ExactTime, MediaInfo, Rational, VideoTrack};
use abanico_model::generated::{AacSettings, AudioDescription, AudioSelector};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setting::{text, whole};

/// One encode of one audio track, whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioEncode {
    /// Number within the plan, from 0; the intermediate file is named after it.
    pub index: u32,
    /// Index of the stream in the file.
    pub stream_index: u32,
    /// The zero of the output on ffmpeg's clock (container start moved to zero): sound before it is cut, sound that
    /// starts later is preceded by silence.
    pub start: ExactTime,
    /// Extra delay of the sound against the picture that the job asks for; negative means earlier.
    pub offset: ExactTime,
    /// Where the sound ends on the output's clock.
    pub end: ExactTime,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels of the output.
    pub channels: u16,
    /// Bit rate of the AAC-LC stream.
    pub bit_rate_bps: u64,
}

/// Samples that ffmpeg's AAC encoder puts before the sound: one frame, seen as the first packet's time before zero.
const AAC_DELAY_SAMPLES: i64 = 1024;

impl AudioEncode {
    /// How long the encoder's own start lasts before the sound begins.
    pub(crate) fn delay(&self) -> ExactTime {
        ExactTime::from_ticks(AAC_DELAY_SAMPLES, Rational::new(1, i64::from(self.sample_rate_hz.max(1))))
    }
}

/// What an audio description comes to.
pub(crate) enum AudioDecision {
    /// This is encoded (`index` is still 0), in this language.
    Encode(AudioEncode, Option<String>),
    /// There is nothing to encode, for the reason given as a sentence for the user.
    Silent(String),
}

/// Decides about the sound of one output.
pub(crate) fn decide(
    description: &AudioDescription,
    selectors: &BTreeMap<String, AudioSelector>,
    input: &MediaInfo,
    video: &VideoTrack,
    pointer: &str,
) -> Result<AudioDecision, Error> {
    let selector = selector(description, selectors);
    let Some(track) = selected_track(selector, &input.audio) else {
        return Ok(AudioDecision::Silent(missing_track(selector, input.audio.len())));
    };
    let offset = ExactTime::from_millis(selector.and_then(|selector| selector.offset).unwrap_or(0));
    let end = track.end - video.start + offset;
    if end <= ExactTime::ZERO {
        return Ok(AudioDecision::Silent(
            "the sound ends before the picture starts: the outputs have none".to_owned(),
        ));
    }
    let aac = aac_settings(description, pointer)?;
    let encode = AudioEncode {
        index: 0,
        stream_index: track.stream_index,
        start: video.start - input.clock_start,
        offset,
        end,
        sample_rate_hz: whole(aac.sample_rate).and_then(|rate| u32::try_from(rate).ok()).unwrap_or(48_000),
        channels: channels(text(&aac.coding_mode)),
        bit_rate_bps: whole(aac.bitrate).unwrap_or(96_000),
    };
    Ok(AudioDecision::Encode(encode, language(description, track)))
}

/// The job's language where it names one, else the source's; AWS writes ISO 639-2 codes in capitals.
fn language(description: &AudioDescription, track: &AudioTrack) -> Option<String> {
    let named = text(&description.language_code).map(str::to_lowercase);
    named.or_else(|| track.language.clone()).filter(|code| code.len() == 3 && code != "und")
}

/// The selector that the description names, else the one that is marked as default, else the first.
fn selector<'a>(
    description: &AudioDescription,
    selectors: &'a BTreeMap<String, AudioSelector>,
) -> Option<&'a AudioSelector> {
    let named = description.audio_source_name.as_ref().and_then(|name| selectors.get(name));
    let marked = || selectors.values().find(|selector| text(&selector.default_selection) == Some("DEFAULT"));
    named.or_else(marked).or_else(|| selectors.values().next())
}

/// The track with the selector's first number (from 1), else the one to play by default, else the first.
fn selected_track<'a>(selector: Option<&AudioSelector>, tracks: &'a [AudioTrack]) -> Option<&'a AudioTrack> {
    let number =
        selector.and_then(|selector| selector.tracks.as_ref()).and_then(|numbers| numbers.first()).copied();
    match number {
        Some(number) => usize::try_from(number - 1).ok().and_then(|index| tracks.get(index)),
        None => tracks.iter().find(|track| track.is_default).or(tracks.first()),
    }
}

fn missing_track(selector: Option<&AudioSelector>, tracks: usize) -> String {
    let number = selector.and_then(|selector| selector.tracks.as_ref()).and_then(|numbers| numbers.first());
    match number {
        Some(number) if tracks > 0 => {
            format!(
                "the input has {tracks} audio track(s) and no number {number}: outputs that want it have no sound"
            )
        }
        _ => "the input has no sound: the outputs have none either".to_owned(),
    }
}

fn aac_settings<'a>(description: &'a AudioDescription, pointer: &str) -> Result<&'a AacSettings, Error> {
    let codec = description.codec_settings.as_ref();
    let missing =
        || Error::setting(&format!("{pointer}/codecSettings"), "aacSettings is a required property");
    let aac = codec.and_then(|codec| codec.aac_settings.as_ref()).ok_or_else(missing)?;
    match text(&aac.codec_profile) {
        None | Some("LC") => Ok(aac),
        Some(other) => {
            let why = format!("profile {other} is not made here: use LC");
            Err(Error::setting(&format!("{pointer}/codecSettings/aacSettings/codecProfile"), &why))
        }
    }
}

fn channels(coding_mode: Option<&str>) -> u16 {
    match coding_mode {
        Some("CODING_MODE_1_0") => 1,
        Some("CODING_MODE_5_1") => 6,
        _ => 2,
    }
}
