//! Decides which caption files a job reads, how their cues are moved to the output's clock, and which outputs
//! are made from them. It does not read the files.

use std::collections::BTreeMap;

use abanico_captions::{BurnInStyle, CaptionFormat, StylePassthrough};
use abanico_media::{ExactTime, Size};
use abanico_model::generated::{
    CaptionDescription, CaptionDestinationType, CaptionSelector, CaptionSourceType, FileSourceTimeDeltaUnits,
    Input, SrtStylePassthrough, WebvttAccessibilitySubs, WebvttStylePassthrough,
};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::cutting::clips::Clip;
use crate::packaging::segmented::{PlaylistStyle, SegmentNames};
use crate::setting::{list, text};

mod burn_in;

pub(crate) use burn_in::burn_in_style;

/// A caption file that the job reads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CaptionFile {
    /// URL of the file.
    pub url: String,
    /// Format that the job gives.
    pub format: CaptionFormat,
}

/// Captions that are made from files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CaptionTask {
    /// Captions of each clip, in the order of the clips.
    pub parts: Vec<CaptionPart>,
    /// The files that the parts name, by their indices.
    pub files: BTreeMap<u32, CaptionFile>,
    /// Whether cues with the same times are merged.
    pub merges: bool,
    /// Format in which they are written.
    pub form: CaptionForm,
    /// How they are delivered as an output; `None` if they are drawn into video or packaged with other
    /// streams.
    pub delivery: Option<CaptionDelivery>,
}

/// The captions of one clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CaptionPart {
    /// Index of the file in [`crate::Plan::caption_files`]; `None` shows no captions.
    pub file: Option<u32>,
    /// Added to all times in the file.
    pub delta: ExactTime,
    /// Start of the clip, counted from the first frame of its input. The times of the file count from there as
    /// well.
    pub start: ExactTime,
    /// Length of the clip.
    pub length: ExactTime,
}

/// Format in which captions are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionForm {
    /// SubRip.
    Srt(StylePassthrough),
    /// WebVTT.
    WebVtt(StylePassthrough),
    /// WebVTT in segments that begin at these times.
    Segments {
        /// Whether styles are kept.
        passthrough: StylePassthrough,
        /// Start times, ascending from zero.
        starts: Vec<ExactTime>,
        /// Presentation time of the output's zero in the accompanying transport streams.
        first_pts: ExactTime,
    },
    /// A script that draws them into frames of this size.
    Script(Box<BurnInStyle>, Size),
}

/// How captions are delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionDelivery {
    /// A file.
    File {
        /// Index of the output in [`crate::Plan::outputs`].
        output: u32,
        /// Full URL of its destination.
        url: String,
        /// MIME type.
        content_type: String,
    },
    /// A segmented stream.
    Stream {
        /// Index of the output in [`crate::Plan::outputs`].
        output: u32,
        /// Names of its files.
        names: SegmentNames,
        /// Style of its media playlist, if it has one.
        playlist: Option<PlaylistStyle>,
    },
}

impl CaptionTask {
    /// Returns the total length of all clips.
    pub fn length(&self) -> ExactTime {
        self.parts.iter().fold(ExactTime::ZERO, |sum, part| sum + part.length)
    }
}

impl CaptionDelivery {
    /// Returns the index of the output in [`crate::Plan::outputs`].
    pub fn output(&self) -> u32 {
        match self {
            Self::File { output, .. } | Self::Stream { output, .. } => *output,
        }
    }
}

/// The caption destinations that are supported, in AWS's model.
const DESTINATIONS: [CaptionDestinationType; 3] =
    [CaptionDestinationType::BurnIn, CaptionDestinationType::Srt, CaptionDestinationType::Webvtt];

/// The caption destinations that are supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Destination {
    BurnIn,
    Srt,
    WebVtt,
}

impl Destination {
    /// Reads the destination of a description.
    ///
    /// # Errors
    /// Fails if it is missing or not supported.
    pub fn of(description: &CaptionDescription, pointer: &str) -> Result<Self, Error> {
        let settings = description.destination_settings.as_ref();
        match settings.and_then(|settings| settings.destination_type.as_ref()) {
            Some(CaptionDestinationType::BurnIn) => Ok(Self::BurnIn),
            Some(CaptionDestinationType::Srt) => Ok(Self::Srt),
            Some(CaptionDestinationType::Webvtt) => Ok(Self::WebVtt),
            Some(other) => {
                let why = format!("destinationType {other} is not supported, only [{}]", list(&DESTINATIONS));
                Err(Error::setting(&format!("{pointer}/destinationSettings/destinationType"), &why))
            }
            None => {
                let why = "destinationType is a required property: the default, EMBEDDED, is not supported";
                Err(Error::setting(&format!("{pointer}/destinationSettings"), why))
            }
        }
    }
}

/// Returns whether styles are kept in a caption file.
pub(crate) fn passthrough(description: &CaptionDescription, destination: Destination) -> StylePassthrough {
    let settings = description.destination_settings.as_ref();
    let is_kept = match destination {
        Destination::Srt => {
            let said =
                settings.and_then(|one| one.srt_destination_settings.as_ref()?.style_passthrough.as_ref());
            said == Some(&SrtStylePassthrough::Enabled)
        }
        Destination::WebVtt | Destination::BurnIn => {
            matches!(
                webvtt_style(description),
                Some(WebvttStylePassthrough::Enabled | WebvttStylePassthrough::Merge)
            )
        }
    };
    if is_kept { StylePassthrough::Enabled } else { StylePassthrough::Disabled }
}

/// Returns whether cues with the same times are merged.
pub(crate) fn merges(description: &CaptionDescription) -> bool {
    webvtt_style(description) == Some(&WebvttStylePassthrough::Merge)
}

fn webvtt_style(description: &CaptionDescription) -> Option<&WebvttStylePassthrough> {
    description
        .destination_settings
        .as_ref()?
        .webvtt_destination_settings
        .as_ref()?
        .style_passthrough
        .as_ref()
}

/// Returns whether captions are for the deaf and hard of hearing.
pub(crate) fn is_accessible(description: &CaptionDescription) -> bool {
    let settings = description.destination_settings.as_ref();
    let webvtt = settings.and_then(|settings| settings.webvtt_destination_settings.as_ref());
    webvtt.is_some_and(|webvtt| webvtt.accessibility == Some(WebvttAccessibilitySubs::Enabled))
}

/// Returns the lower-case ISO 639-2 code of captions: the description's, otherwise the selector's.
pub(crate) fn language(description: &CaptionDescription, inputs: &[Input]) -> Option<String> {
    let own = description.custom_language_code.as_deref().or_else(|| text(&description.language_code));
    let selector =
        inputs.iter().find_map(|input| selector(input, description.caption_selector_name.as_deref()?));
    let selected = selector.and_then(|selector| {
        selector.custom_language_code.as_deref().or_else(|| text(&selector.language_code))
    });
    own.or(selected).map(str::to_lowercase)
}

fn selector<'a>(input: &'a Input, name: &str) -> Option<&'a CaptionSelector> {
    input.caption_selectors.as_ref()?.get(name)
}

/// Source of a selector's captions.
struct Source<'a> {
    url: &'a str,
    format: CaptionFormat,
    delta: ExactTime,
}

/// Where an output's captions come from.
#[derive(Clone, Copy)]
pub(crate) struct CaptionSources<'a> {
    /// Inputs as in the job.
    pub inputs: &'a [Input],
    /// Clips of the inputs, in the output's order.
    pub clips: &'a [Clip],
    /// Times of the inputs' first frames, each on its input's own clock.
    pub first_pictures: &'a [ExactTime],
}

/// Returns the captions of every clip. New files are added to `files`.
///
/// # Errors
/// Fails if no input has the selector, or if a selector does not name its file.
pub(crate) fn parts(
    description: &CaptionDescription,
    sources: CaptionSources<'_>,
    files: &mut Vec<CaptionFile>,
    pointer: &str,
) -> Result<Vec<CaptionPart>, Error> {
    let CaptionSources { inputs, clips, first_pictures } = sources;
    let name = description.caption_selector_name.as_deref();
    let name = name.ok_or_else(|| Error::setting(pointer, "captionSelectorName is a required property"))?;
    if inputs.iter().all(|input| selector(input, name).is_none()) {
        return Err(no_selector(inputs, name, pointer));
    }
    let mut parts = Vec::with_capacity(clips.len());
    for clip in clips {
        let zero = first_pictures.get(clip.input).copied().unwrap_or(ExactTime::ZERO);
        let mut part =
            CaptionPart { file: None, delta: ExactTime::ZERO, start: clip.start - zero, length: clip.length };
        let at = format!("/inputs/{}/captionSelectors/{}", clip.input, escaped(name));
        if let Some(source) =
            selector(&inputs[clip.input], name).map(|one| source(one, &at)).transpose()?.flatten()
        {
            let file = CaptionFile { url: source.url.to_owned(), format: source.format };
            let index = files.iter().position(|other| *other == file).unwrap_or(files.len());
            if index == files.len() {
                files.push(file);
            }
            (part.file, part.delta) = (u32::try_from(index).ok(), source.delta);
        }
        parts.push(part);
    }
    Ok(parts)
}

fn no_selector(inputs: &[Input], name: &str, pointer: &str) -> Error {
    let mut known: Vec<&str> = inputs
        .iter()
        .flat_map(|input| input.caption_selectors.iter().flat_map(|selectors| selectors.keys()))
        .map(String::as_str)
        .collect();
    known.sort_unstable();
    known.dedup();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let why = format!("no input has the caption selector `{name}`; existing selectors: {known}");
    Error::setting(&format!("{pointer}/captionSelectorName"), &why)
}

/// Escapes a name for use in a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the source of a selector's captions; `None` for a null source.
fn source<'a>(selector: &'a CaptionSelector, pointer: &str) -> Result<Option<Source<'a>>, Error> {
    let settings = selector.source_settings.as_ref();
    let format = match settings.and_then(|settings| settings.source_type.as_ref()) {
        Some(CaptionSourceType::NullSource) => return Ok(None),
        Some(CaptionSourceType::Srt) => CaptionFormat::SubRip,
        Some(CaptionSourceType::Webvtt) => CaptionFormat::WebVtt,
        other => {
            let said = other.unwrap_or(&CaptionSourceType::Embedded);
            let why = format!("captions from {said} are not supported: use an SRT or WEBVTT file");
            return Err(Error::setting(&format!("{pointer}/sourceSettings/sourceType"), &why));
        }
    };
    let file = settings.and_then(|settings| settings.file_source_settings.as_ref());
    let url = file.and_then(|file| file.source_file.as_deref()).ok_or_else(|| {
        let pointer = format!("{pointer}/sourceSettings/fileSourceSettings");
        Error::setting(&pointer, "sourceFile is a required property")
    })?;
    let delta = file.and_then(|file| file.time_delta).unwrap_or(0);
    let in_millis =
        file.is_some_and(|file| file.time_delta_units == Some(FileSourceTimeDeltaUnits::Milliseconds));
    let delta = ExactTime::from_millis(if in_millis { delta } else { delta.saturating_mul(1000) });
    Ok(Some(Source { url, format, delta }))
}

#[cfg(test)]
mod tests;
