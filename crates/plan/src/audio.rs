//! Decides how the audio of an output is encoded. Takes its audio description and the inputs' tracks, and
//! returns an [`AudioEncode`] or the reason why there is no audio.
//! Audio is never cut into chunks. It is encoded as a whole, once for all outputs that want the same.

use std::collections::BTreeMap;

use abanico_media::MediaInfo;
use abanico_media::{AudioTrack, ExactTime};
use abanico_model::generated::{
    AudioCodec as WireCodec, AudioDescription, AudioLanguageCodeControl, AudioNormalizationAlgorithm,
    AudioNormalizationAlgorithmControl, AudioNormalizationSettings, AudioSelector, AudioSelectorGroup, Input,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::cutting::clips::Clip;
use crate::setting::text;

pub(crate) mod coding;
pub(crate) mod gaps;
pub(crate) mod remix;
mod selection;

use self::coding::{AudioCodec, AudioCoding, AudioRate};
use self::remix::Remix;
use self::selection::{Selectors, named, nothing_found, passed_over, tracks};

/// One encode of the audio of all clips.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioEncode {
    /// Number within the plan, from 0; the intermediate file is named after it.
    pub index: u32,
    /// Audio of each clip, in order; at least one.
    pub parts: Vec<AudioPart>,
    /// End of the audio on the output's clock. Nothing is encoded beyond it.
    pub end: ExactTime,
    /// Length of the source's packets where it ends. Its last one may sound for a shorter time than it states.
    #[serde(default)]
    pub source_packet: ExactTime,
    /// How channels are remixed; `None` converts by the number of channels alone.
    pub remix: Option<Remix>,
    /// Loudness to reach; `None` leaves it unchanged.
    pub loudness: Option<Loudness>,
    /// Encoder settings.
    pub coding: AudioCoding,
}

impl AudioEncode {
    /// Returns the indices of the inputs that it reads, perhaps some twice.
    pub fn inputs(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().map(|part| part.input)
    }
}

/// The audio of one clip.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioPart {
    /// Index of the input in the job, from 0.
    pub input: u32,
    /// Indices of the file's streams whose channels are placed side by side; empty means silence.
    pub streams: Vec<u32>,
    /// Total number of channels of these streams.
    pub channels: u16,
    /// Sampling rate of all these streams; 0 if they differ or there are none.
    #[serde(default)]
    pub sample_rate_hz: u32,
    /// Whether the time stamps of these streams are rough, so that audio only follows them slowly.
    #[serde(default)]
    pub is_jittery: bool,
    /// The clip's zero on the file's own clock. Earlier audio is cut off; audio that starts later is preceded
    /// by silence.
    pub start: ExactTime,
    /// Extra delay of the audio relative to the video, from the job; negative means earlier.
    pub offset: ExactTime,
    /// Exact length to which the audio is cut or padded; `None` keeps its own length.
    pub length: Option<ExactTime>,
}

/// Target loudness by ITU-R BS.1770.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loudness {
    /// Programme loudness in thousandths of LKFS.
    pub target_millilkfs: i32,
    /// Audio that measures less than this, in whole LKFS, is left unchanged.
    pub gate_lkfs: i32,
    /// Highest peak in thousandths of dBFS; `None` sets no limit.
    pub peak_millidbfs: Option<i32>,
}

/// What to do for an audio description.
pub(crate) enum AudioDecision {
    /// Encode this (`index` is still 0), in this language.
    Encode(Box<AudioEncode>, Option<String>),
    /// Encode nothing. The string is a sentence that gives the user the reason.
    Silent(String),
}

/// The inputs and clips that the audio comes from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Inputs as in the job.
    pub inputs: &'a [Input],
    /// Facts of each input.
    pub infos: &'a [MediaInfo],
    /// Clips of the inputs, in the output's order.
    pub clips: &'a [Clip],
}

/// Decides how one audio description of an output is encoded.
pub(crate) fn decide(
    description: &AudioDescription,
    sources: Sources<'_>,
    pointer: &str,
) -> Result<AudioDecision, Error> {
    let mut parts = Vec::with_capacity(sources.clips.len());
    let (mut first, mut silence, mut end) = (None, None, ExactTime::ZERO);
    let mut source_packet = ExactTime::ZERO;
    let mut at = ExactTime::ZERO;
    for (number, clip) in sources.clips.iter().enumerate() {
        let is_last = number + 1 == sources.clips.len();
        let (part, found) = part(description, sources, clip, is_last);
        match found {
            Ok((track, heard)) => {
                first = first.or(Some((track, part.channels)));
                end = at + heard;
                source_packet = track.packet;
            }
            Err(why) => silence = silence.or(Some(why)),
        }
        at = at + clip.length;
        parts.push(part);
    }
    let Some((track, channels)) = first else {
        return Ok(AudioDecision::Silent(silence.unwrap_or_else(|| "there is no audio".to_owned())));
    };
    // Silence at the end lasts as long as the last clip.
    let end = if parts.last().is_some_and(|part| part.streams.is_empty()) { at } else { end };
    let codec_pointer = format!("{pointer}/codecSettings");
    let settings = description.codec_settings.clone().unwrap_or_default();
    if settings.codec == Some(WireCodec::Passthrough) {
        let encode = passthrough(description, sources, parts, track, end, &codec_pointer)?;
        return Ok(AudioDecision::Encode(Box::new(encode), language(description, track)));
    }
    if let Some((track, clip)) = undecodable(&parts, sources) {
        let input = &sources.inputs[clip.input];
        let url = input.file_input.as_deref().unwrap_or_default();
        return Err(Error::undecodable(url, &named(track, &sources.infos[clip.input].audio)));
    }
    let mut coding = AudioCoding::from_settings(&settings, channels, &codec_pointer)?;
    let remix_pointer = format!("{pointer}/remixSettings");
    let remix = description.remix_settings.as_ref();
    let remix = remix.map(|remix| Remix::from_settings(remix, &remix_pointer)).transpose()?.flatten();
    if let Some(remix) = &remix {
        let otherwise = AudioCoding::from_settings(&settings, remix.channels(), &codec_pointer)?;
        let follows = otherwise.channels == remix.channels();
        fits(remix, &mut coding, &remix_pointer).map_err(|error| error.of_input_if(follows))?;
    }
    let loudness = description.audio_normalization_settings.as_ref().and_then(loudness);
    let encode = AudioEncode { index: 0, parts, end, source_packet, remix, loudness, coding };
    Ok(AudioDecision::Encode(Box::new(encode), language(description, track)))
}

/// Returns the first track of the parts that cannot be decoded.
fn undecodable<'a>(parts: &[AudioPart], sources: Sources<'a>) -> Option<(&'a AudioTrack, &'a Clip)> {
    let each = parts.iter().zip(sources.clips);
    let mut all = each.flat_map(|(part, clip)| {
        let tracks = sources.infos[clip.input].audio.iter();
        tracks.filter(|track| part.streams.contains(&track.stream_index)).map(move |track| (track, clip))
    });
    all.find(|(track, _)| track.is_undecodable)
}

/// Returns notes on what the audio of the parts is taken from: sound that was passed over, and sound that changes its
/// form.
pub(crate) fn notes(
    description: &AudioDescription,
    parts: &[AudioPart],
    sources: Sources<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (part, clip) in parts.iter().zip(sources.clips) {
        let (input, info) = (&sources.inputs[clip.input], &sources.infos[clip.input]);
        let url = input.file_input.as_deref().unwrap_or_default();
        for track in info.audio.iter().filter(|track| part.streams.contains(&track.stream_index)) {
            let selectors = selectors(input);
            let over = passed_over(selectors.of(description).first().copied(), &info.audio, track);
            notes.extend(over.map(|over| format!("{over} (`{url}`)")));
            let forms: Vec<String> = track.forms.iter().map(ToString::to_string).collect();
            if let Some(largest) = track.forms.iter().map(|form| form.channels).max() {
                notes.push(format!(
                    "the sound of `{url}` changes its form ({}): all of it is made to have {largest} channels at {} Hz",
                    forms.join(", "),
                    track.sample_rate_hz
                ));
            }
        }
    }
    notes
}

/// Copies the source's own packets. This needs one whole input, because packets cannot be cut at the video's
/// times.
fn passthrough(
    description: &AudioDescription,
    sources: Sources<'_>,
    parts: Vec<AudioPart>,
    track: &AudioTrack,
    end: ExactTime,
    pointer: &str,
) -> Result<AudioEncode, Error> {
    let wrong = |why: &str| Error::setting(&format!("{pointer}/codec"), why);
    let refuse = |why: &str| Err(wrong(why));
    let [part] = &parts[..] else {
        return refuse("PASSTHROUGH takes the audio of one input: encode it to join several");
    };
    if sources.inputs.iter().any(|input| input.input_clippings.iter().flatten().next().is_some()) {
        return refuse("PASSTHROUGH takes the audio of a whole input: encode it to clip it");
    }
    let is_changed =
        description.remix_settings.is_some() || description.audio_normalization_settings.is_some();
    if part.streams.len() != 1 || part.offset != ExactTime::ZERO || is_changed {
        let why = "PASSTHROUGH copies one track unchanged: remove offsets, remixing and normalisation, or encode it";
        return Err(wrong(why).of_input_if(part.offset == ExactTime::ZERO && !is_changed));
    }
    let Some(codec) = AudioCodec::of_source(&track.codec) else {
        let why = format!(
            "PASSTHROUGH does not support {}, the codec of the input's audio: encode it",
            track.codec
        );
        return Err(wrong(&why).of_input());
    };
    let rate = AudioRate::Copied(part.start - track.start);
    let (sample_rate_hz, channels) = (track.sample_rate_hz, track.channels);
    let coding = AudioCoding { codec, rate, sample_rate_hz, channels };
    let source_packet = track.packet;
    Ok(AudioEncode { index: 0, parts, end, source_packet, remix: None, loudness: None, coding })
}

/// Checks that remixing gives as many channels as the codec settings ask for.
fn fits(remix: &Remix, coding: &mut AudioCoding, pointer: &str) -> Result<(), Error> {
    if remix.channels() == coding.channels {
        return Ok(());
    }
    let why = format!(
        "remixing gives {} channels, but the codec settings ask for {}: make them equal",
        remix.channels(),
        coding.channels
    );
    Err(Error::setting(pointer, &why))
}

/// Returns the audio of one clip, together with its first track and its end within the clip, or the reason
/// why it has none.
fn part<'a>(
    description: &AudioDescription,
    sources: Sources<'a>,
    clip: &Clip,
    is_last: bool,
) -> (AudioPart, Result<(&'a AudioTrack, ExactTime), String>) {
    let (input, info) = (&sources.inputs[clip.input], &sources.infos[clip.input]);
    let chosen = selectors(input).of(description);
    let found: Vec<&AudioTrack> = if chosen.is_empty() {
        tracks(None, &info.audio)
    } else {
        let each: Vec<Vec<&AudioTrack>> =
            chosen.iter().map(|selector| tracks(Some(selector), &info.audio)).collect();
        if each.iter().any(Vec::is_empty) { Vec::new() } else { each.concat() }
    };
    let offset = chosen.first().and_then(|selector| selector.offset).unwrap_or(0);
    let offset = ExactTime::from_millis(offset);
    let is_free = is_last && clip.ends_with_input && !found.is_empty();
    let mut part = AudioPart {
        input: u32::try_from(clip.input).unwrap_or(u32::MAX),
        streams: found.iter().map(|track| track.stream_index).collect(),
        channels: found.iter().map(|track| track.channels).sum(),
        sample_rate_hz: common_rate(&found),
        is_jittery: found.iter().any(|track| track.is_jittery),
        start: clip.start,
        offset,
        length: (!is_free).then_some(clip.length),
    };
    let Some(track) = found.first() else {
        return (part, Err(nothing_found(chosen.first().copied(), info.audio.len())));
    };
    let ends = found.iter().map(|track| track.end).max().unwrap_or(track.end);
    let heard = if is_free { ends - clip.start + offset } else { clip.length };
    // The times of sound that cannot be decoded mean little; it is refused by name.
    if heard <= ExactTime::ZERO && !found.iter().any(|track| track.is_undecodable) {
        part = AudioPart {
            streams: Vec::new(),
            channels: 0,
            sample_rate_hz: 0,
            length: Some(clip.length),
            ..part
        };
        return (
            part,
            Err("the input's audio ends before its video starts, so the outputs have no audio".to_owned()),
        );
    }
    (part, Ok((track, heard)))
}

/// Returns the selectors of an input.
fn selectors(input: &Input) -> Selectors<'_> {
    const NONE: &BTreeMap<String, AudioSelector> = &BTreeMap::new();
    const NO_GROUPS: &BTreeMap<String, AudioSelectorGroup> = &BTreeMap::new();
    Selectors {
        single: input.audio_selectors.as_ref().unwrap_or(NONE),
        groups: input.audio_selector_groups.as_ref().unwrap_or(NO_GROUPS),
    }
}

/// Returns the sampling rate of all tracks; 0 if they differ or there are none.
fn common_rate(tracks: &[&AudioTrack]) -> u32 {
    let rate = tracks.first().map_or(0, |track| track.sample_rate_hz);
    if tracks.iter().all(|track| track.sample_rate_hz == rate) { rate } else { 0 }
}

/// Returns the loudness to reach, unless the description only measures it.
fn loudness(settings: &AudioNormalizationSettings) -> Option<Loudness> {
    if settings.algorithm_control == Some(AudioNormalizationAlgorithmControl::MeasureOnly) {
        return None;
    }
    // Defaults of AWS's model: -24 for the first revision of the recommendation, -23 for later ones.
    let is_first = settings.algorithm == Some(AudioNormalizationAlgorithm::ItuBs17701);
    let target = settings.target_lkfs.unwrap_or(if is_first { -24.0 } else { -23.0 });
    let thousandths = |value: f64| (value * 1000.0).round() as i32;
    Some(Loudness {
        target_millilkfs: thousandths(target),
        gate_lkfs: i32::try_from(settings.correction_gate_level.unwrap_or(-70)).unwrap_or(-70),
        peak_millidbfs: settings.true_peak_limiter_threshold.map(thousandths),
    })
}

/// Picks the language of an audio stream: the job's, then the source's. With `FOLLOW_INPUT` the source's
/// comes first.
fn language(description: &AudioDescription, track: &AudioTrack) -> Option<String> {
    let custom = description.custom_language_code.as_deref().map(str::to_lowercase);
    let named = custom.or_else(|| text(&description.language_code).map(str::to_lowercase));
    let spoken = track.language.clone();
    let follows = description.language_code_control == Some(AudioLanguageCodeControl::FollowInput);
    let chosen = if follows { spoken.or(named) } else { named.or(spoken) };
    chosen.filter(|code| code.len() == 3 && code != "und")
}
