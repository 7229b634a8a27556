//! The audio part of a plan: in an output's audio description and the inputs' tracks, out what to encode.
//! Never cut into pieces: sound is encoded whole, once for all outputs that want the same.

use std::collections::BTreeMap;

use abanico_media::MediaInfo;
use abanico_media::{AudioTrack, ExactTime};
use abanico_model::generated::{
    AudioDescription, AudioNormalizationSettings, AudioSelector, AudioSelectorGroup, Input,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clips::Clip;
use crate::setting::text;

pub(crate) mod coding;
pub(crate) mod gaps;
pub(crate) mod remix;
mod selection;

use self::coding::{AudioCodec, AudioCoding, AudioRate};
use self::remix::Remix;
use self::selection::{Selectors, nothing_found, tracks};

/// One encode of the sound of all clips, whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioEncode {
    /// Number within the plan, from 0; the intermediate file is named after it.
    pub index: u32,
    /// The sound of each clip in their order, at least one.
    pub parts: Vec<AudioPart>,
    /// Where the sound ends on the output's clock.
    pub end: ExactTime,
    /// Channels put together anew; none leaves it to the number of channels.
    pub remix: Option<Remix>,
    /// The loudness to bring the sound to; none leaves it as it is.
    pub loudness: Option<Loudness>,
    /// Encoder settings.
    pub coding: AudioCoding,
}

/// The sound of one clip.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioPart {
    /// Index of the input in the job, from 0.
    pub input: u32,
    /// Indices of the streams in the file, whose channels are put side by side; none is silence.
    pub streams: Vec<u32>,
    /// Channels of these streams together.
    pub channels: u16,
    /// The clip's zero on the file's own clock: sound before it is cut, sound that starts later is preceded by silence.
    pub start: ExactTime,
    /// Extra delay of the sound against the picture that the job asks for; negative means earlier.
    pub offset: ExactTime,
    /// Exact length to which the sound is cut or filled up; none lets it end by itself.
    pub length: Option<ExactTime>,
}

/// A loudness to reach, by ITU-R BS.1770.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loudness {
    /// Programme loudness in thousandths of LKFS.
    pub target_millilkfs: i32,
    /// Sound that measures less than this is left as it is; whole LKFS.
    pub gate_lkfs: i32,
    /// Highest peak in thousandths of dBFS; none limits nothing.
    pub peak_millidbfs: Option<i32>,
}

/// What an audio description comes to.
pub(crate) enum AudioDecision {
    /// This is encoded (`index` is still 0), in this language.
    Encode(Box<AudioEncode>, Option<String>),
    /// There is nothing to encode, for the reason given as a sentence for the user.
    Silent(String),
}

/// The inputs and clips that sound is taken from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// As the job has them.
    pub inputs: &'a [Input],
    /// Facts of each.
    pub infos: &'a [MediaInfo],
    /// Runs of them, in the order of the output.
    pub clips: &'a [Clip],
}

/// Decides about one description of an output's sound.
pub(crate) fn decide(
    description: &AudioDescription,
    sources: Sources<'_>,
    pointer: &str,
) -> Result<AudioDecision, Error> {
    let mut parts = Vec::with_capacity(sources.clips.len());
    let (mut first, mut silence, mut end) = (None, None, ExactTime::ZERO);
    let mut at = ExactTime::ZERO;
    for (number, clip) in sources.clips.iter().enumerate() {
        let is_last = number + 1 == sources.clips.len();
        let (part, found) = part(description, sources, clip, is_last);
        match found {
            Ok((track, heard)) => {
                first = first.or(Some((track, part.channels)));
                end = at + heard;
            }
            Err(why) => silence = silence.or(Some(why)),
        }
        at = at + clip.length;
        parts.push(part);
    }
    let Some((track, channels)) = first else {
        return Ok(AudioDecision::Silent(silence.unwrap_or_else(|| "there is no sound".to_owned())));
    };
    // Silence of a last clip is as long as the clip.
    let end = if parts.last().is_some_and(|part| part.streams.is_empty()) { at } else { end };
    let codec_pointer = format!("{pointer}/codecSettings");
    let settings = description.codec_settings.clone().unwrap_or_default();
    if text(&settings.codec) == Some("PASSTHROUGH") {
        let encode = passthrough(description, sources, (parts, track, end), &codec_pointer)?;
        return Ok(AudioDecision::Encode(Box::new(encode), language(description, track)));
    }
    let mut coding = AudioCoding::from_settings(&settings, channels, &codec_pointer)?;
    let remix_pointer = format!("{pointer}/remixSettings");
    let remix = description.remix_settings.as_ref();
    let remix = remix.map(|remix| Remix::from_settings(remix, &remix_pointer)).transpose()?.flatten();
    if let Some(remix) = &remix {
        fits(remix, &mut coding, &remix_pointer)?;
    }
    let loudness = description.audio_normalization_settings.as_ref().and_then(loudness);
    let encode = AudioEncode { index: 0, parts, end, remix, loudness, coding };
    Ok(AudioDecision::Encode(Box::new(encode), language(description, track)))
}

/// The source's own packets, as they are: of one whole input, since packets cannot be cut to a picture's times.
fn passthrough(
    description: &AudioDescription,
    sources: Sources<'_>,
    (parts, track, end): (Vec<AudioPart>, &AudioTrack, ExactTime),
    pointer: &str,
) -> Result<AudioEncode, Error> {
    let refuse = |why: &str| Err(Error::setting(&format!("{pointer}/codec"), why));
    let [part] = &parts[..] else {
        return refuse("PASSTHROUGH takes the sound of one input: encode it to join several");
    };
    if sources.inputs.iter().any(|input| input.input_clippings.iter().flatten().next().is_some()) {
        return refuse("PASSTHROUGH takes the sound of a whole input: encode it to clip it");
    }
    let is_changed =
        description.remix_settings.is_some() || description.audio_normalization_settings.is_some();
    if part.streams.len() != 1 || part.offset != ExactTime::ZERO || is_changed {
        return refuse(
            "PASSTHROUGH takes one track as it is: leave out offsets, remixing and normalisation, or encode it",
        );
    }
    let Some(codec) = AudioCodec::of_source(&track.codec) else {
        return refuse(&format!(
            "the input's sound is {}, which is not passed through: encode it",
            track.codec
        ));
    };
    let rate = AudioRate::Copied(part.start - track.start);
    let (sample_rate_hz, channels) = (track.sample_rate_hz, track.channels);
    let coding = AudioCoding { codec, rate, sample_rate_hz, channels };
    Ok(AudioEncode { index: 0, parts, end, remix: None, loudness: None, coding })
}

/// Remixed channels must be what the codec settings say.
fn fits(remix: &Remix, coding: &mut AudioCoding, pointer: &str) -> Result<(), Error> {
    if remix.channels() == coding.channels {
        return Ok(());
    }
    let why = format!(
        "remixing gives {} channels, the codec settings want {}: make them equal",
        remix.channels(),
        coding.channels
    );
    Err(Error::setting(pointer, &why))
}

/// The sound of one clip; with it its first track and where it ends within the clip, or why there is none.
fn part<'a>(
    description: &AudioDescription,
    sources: Sources<'a>,
    clip: &Clip,
    is_last: bool,
) -> (AudioPart, Result<(&'a AudioTrack, ExactTime), String>) {
    let none = BTreeMap::<String, AudioSelector>::new();
    let no_groups = BTreeMap::<String, AudioSelectorGroup>::new();
    let (input, info) = (&sources.inputs[clip.input], &sources.infos[clip.input]);
    let selectors = Selectors {
        single: input.audio_selectors.as_ref().unwrap_or(&none),
        groups: input.audio_selector_groups.as_ref().unwrap_or(&no_groups),
    };
    let chosen = selectors.of(description);
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
        start: clip.start,
        offset,
        length: (!is_free).then_some(clip.length),
    };
    let Some(track) = found.first() else {
        return (part, Err(nothing_found(chosen.first().copied(), info.audio.len())));
    };
    let ends = found.iter().map(|track| track.end).max().unwrap_or(track.end);
    let heard = if is_free { ends - clip.start + offset } else { clip.length };
    if heard <= ExactTime::ZERO {
        part = AudioPart { streams: Vec::new(), channels: 0, length: Some(clip.length), ..part };
        return (part, Err("the sound ends before the picture starts: the outputs have none".to_owned()));
    }
    (part, Ok((track, heard)))
}

/// The target of a description that wants its loudness corrected.
fn loudness(settings: &AudioNormalizationSettings) -> Option<Loudness> {
    if text(&settings.algorithm_control) == Some("MEASURE_ONLY") {
        return None;
    }
    // Defaults of AWS's model: -24 for the first revision of the recommendation, -23 for the later ones.
    let target = settings.target_lkfs.unwrap_or_else(|| match text(&settings.algorithm) {
        Some("ITU_BS_1770_1") => -24.0,
        _ => -23.0,
    });
    let thousandths = |value: f64| (value * 1000.0).round() as i32;
    Some(Loudness {
        target_millilkfs: thousandths(target),
        gate_lkfs: i32::try_from(settings.correction_gate_level.unwrap_or(-70)).unwrap_or(-70),
        peak_millidbfs: settings.true_peak_limiter_threshold.map(thousandths),
    })
}

/// The language that the job says where it does not follow the input, else the source's, else the job's.
fn language(description: &AudioDescription, track: &AudioTrack) -> Option<String> {
    let custom = description.custom_language_code.as_deref().map(str::to_lowercase);
    let named = custom.or_else(|| text(&description.language_code).map(str::to_lowercase));
    let spoken = track.language.clone();
    let follows = text(&description.language_code_control) == Some("FOLLOW_INPUT");
    let chosen = if follows { spoken.or(named) } else { named.or(spoken) };
    chosen.filter(|code| code.len() == 3 && code != "und")
}
