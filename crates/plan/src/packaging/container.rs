//! Chooses the container of a file output, with its extension and MIME type, from the output's container
//! settings and codecs. It refuses codecs that players do not expect in a container, and returns no muxer
//! flags.

use abanico_model::generated::{ContainerSettings, ContainerType, M2tsRateMode, M2tsSettings};
use serde::{Deserialize, Serialize};

use crate::packaging::transport_stream;
use crate::setting::{list, whole};
use crate::{AudioCodec, Error, TransportStream, VideoCodec};

/// The containers of files.
const CONTAINERS: [ContainerType; 6] = [
    ContainerType::Mp4,
    ContainerType::Mov,
    ContainerType::M2ts,
    ContainerType::Webm,
    ContainerType::Ogg,
    ContainerType::Raw,
];

/// Container of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MP4 (ISO/IEC 14496-14).
    Mp4,
    /// QuickTime.
    Mov,
    /// MPEG-2 transport stream in a file.
    TransportStream(Box<ProgramStream>),
    /// WebM.
    WebM,
    /// Ogg.
    Ogg,
    /// A bare elementary stream without a container.
    Raw(AudioCodec),
}

/// A transport stream in one file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProgramStream {
    /// Identifiers and first presentation time.
    pub transport: TransportStream,
    /// Constant bit rate of the whole stream, reached with null packets; `None` adds none.
    pub constant_bps: Option<u64>,
}

impl Container {
    /// Reads an output's settings. `audio` lists the codecs of its audio.
    ///
    /// # Errors
    /// Fails if the container is not supported or does not support the codecs.
    pub(crate) fn from_settings(
        settings: Option<&ContainerSettings>,
        video: Option<VideoCodec>,
        audio: &[AudioCodec],
        pointer: &str,
    ) -> Result<Self, Error> {
        let name = settings.and_then(|settings| settings.container.as_ref()).unwrap_or(&ContainerType::Mp4);
        let container = match name {
            ContainerType::Mp4 => Self::Mp4,
            ContainerType::Mov => Self::Mov,
            ContainerType::M2ts => {
                let m2ts = settings.and_then(|settings| settings.m2ts_settings.as_ref());
                Self::TransportStream(Box::new(program_stream(m2ts)))
            }
            ContainerType::Webm => Self::WebM,
            ContainerType::Ogg => Self::Ogg,
            ContainerType::Raw => return Self::raw(video, audio, pointer),
            other => {
                let why = format!(
                    "container {other} is not supported in file groups, only [{}]",
                    list(&CONTAINERS)
                );
                return Err(Error::setting(&format!("{pointer}/containerSettings/container"), &why));
            }
        };
        container.check(name, video, audio, pointer)?;
        Ok(container)
    }

    fn raw(video: Option<VideoCodec>, audio: &[AudioCodec], pointer: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::setting(&format!("{pointer}/containerSettings/container"), why));
        match (video, audio) {
            (None, [AudioCodec::Opus | AudioCodec::Vorbis]) => {
                refuse("RAW does not support this codec: use OGG")
            }
            (None, [one]) => Ok(Self::Raw(*one)),
            (None, _) => refuse("RAW needs exactly one audio description"),
            (Some(_), _) => refuse("RAW is only for FRAME_CAPTURE or a single audio description: use MP4"),
        }
    }

    fn check(
        &self,
        name: &ContainerType,
        video: Option<VideoCodec>,
        audio: &[AudioCodec],
        pointer: &str,
    ) -> Result<(), Error> {
        let videos = self.video_codecs();
        if let Some(video) = video.filter(|video| !videos.contains(video)) {
            let instead = if videos.is_empty() {
                "audio only".to_owned()
            } else {
                list(videos.iter().map(|one| one.wire()))
            };
            let why = format!("{} is not supported in {name}, which takes {instead}", video.wire());
            return Err(Error::setting(&format!("{pointer}/videoDescription/codecSettings/codec"), &why));
        }
        let audios = self.audio_codecs();
        if let Some((index, codec)) = audio.iter().enumerate().find(|(_, codec)| !audios.contains(codec)) {
            let known = list(audios.iter().map(|one| one.wire()));
            let why = format!("{} is not supported in {name}, which takes {known}", codec.wire());
            let pointer = format!("{pointer}/audioDescriptions/{index}/codecSettings/codec");
            return Err(Error::setting(&pointer, &why));
        }
        Ok(())
    }

    fn video_codecs(&self) -> &'static [VideoCodec] {
        match self {
            Self::Mp4 => &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1, VideoCodec::Vp9],
            Self::Mov | Self::TransportStream(_) => &[VideoCodec::H264, VideoCodec::H265],
            Self::WebM => &[VideoCodec::Vp9, VideoCodec::Av1],
            Self::Ogg | Self::Raw(_) => &[],
        }
    }

    fn audio_codecs(&self) -> &'static [AudioCodec] {
        use AudioCodec::{Aac, Ac3, Aiff, Eac3, Flac, Mp2, Mp3, Opus, Vorbis, Wav};
        match self {
            Self::Mp4 => &[Aac, Mp3, Ac3, Eac3, Opus, Flac],
            Self::Mov => &[Aac, Mp2, Mp3, Ac3, Eac3, Wav, Aiff],
            Self::TransportStream(_) => &[Aac, Mp2, Mp3, Ac3, Eac3],
            Self::WebM => &[Opus, Vorbis],
            Self::Ogg => &[Opus, Vorbis, Flac],
            Self::Raw(_) => &[Aac, Mp2, Mp3, Ac3, Eac3, Flac, Wav, Aiff],
        }
    }

    /// Returns the default extension of the file.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::TransportStream(_) => "m2ts",
            Self::WebM => "webm",
            Self::Ogg => "ogg",
            Self::Raw(codec) => match codec {
                AudioCodec::Mp2 => "mp2",
                AudioCodec::Mp3 => "mp3",
                AudioCodec::Ac3 => "ac3",
                AudioCodec::Eac3 => "ec3",
                AudioCodec::Flac => "flac",
                AudioCodec::Wav => "wav",
                AudioCodec::Aiff => "aiff",
                AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Vorbis => "aac",
            },
        }
    }

    /// Returns the MIME type of the file.
    pub fn content_type(&self, has_video: bool) -> &'static str {
        match self {
            Self::Mp4 if has_video => "video/mp4",
            Self::Mp4 => "audio/mp4",
            Self::Mov => "video/quicktime",
            Self::TransportStream(_) => "video/mp2t",
            Self::WebM if has_video => "video/webm",
            Self::WebM => "audio/webm",
            Self::Ogg => "audio/ogg",
            Self::Raw(codec) => match codec {
                AudioCodec::Mp2 | AudioCodec::Mp3 => "audio/mpeg",
                AudioCodec::Ac3 => "audio/ac3",
                AudioCodec::Eac3 => "audio/eac3",
                AudioCodec::Flac => "audio/flac",
                AudioCodec::Wav => "audio/wav",
                AudioCodec::Aiff => "audio/aiff",
                AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Vorbis => "audio/aac",
            },
        }
    }

    /// Returns whether an edit list hides the encoder's priming, so that audio and video begin together.
    pub fn hides_delay(&self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }

    /// Returns whether it consists of the boxes of ISO/IEC 14496-12.
    pub fn has_boxes(&self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }
}

fn program_stream(settings: Option<&M2tsSettings>) -> ProgramStream {
    let is_constant = settings.is_some_and(|settings| settings.rate_mode == Some(M2tsRateMode::Cbr));
    let rate = settings.and_then(|settings| whole(settings.bitrate)).filter(|rate| is_constant && *rate > 0);
    ProgramStream { transport: transport_stream::program_numbers(settings), constant_bps: rate }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(
        settings: Value,
        video: Option<VideoCodec>,
        audio: &[AudioCodec],
    ) -> Result<Container, String> {
        let settings: ContainerSettings = serde_json::from_value(settings).unwrap();
        Container::from_settings(Some(&settings), video, audio, "/o").map_err(|error| error.to_string())
    }

    #[test]
    fn containers_have_extensions_and_mime_types() {
        let of = |name: &str, video, audio| {
            let made = container(json!({"container": name}), video, audio).unwrap();
            format!("{} {}", made.extension(), made.content_type(video.is_some()))
        };
        assert_eq!(of("MP4", None, &[AudioCodec::Aac]), "mp4 audio/mp4");
        assert_eq!(of("MOV", Some(VideoCodec::H264), &[AudioCodec::Wav]), "mov video/quicktime");
        assert_eq!(of("M2TS", Some(VideoCodec::H265), &[AudioCodec::Ac3]), "m2ts video/mp2t");
        assert_eq!(of("WEBM", Some(VideoCodec::Vp9), &[AudioCodec::Opus]), "webm video/webm");
        assert_eq!(of("OGG", None, &[AudioCodec::Vorbis]), "ogg audio/ogg");
        assert_eq!(of("RAW", None, &[AudioCodec::Mp3]), "mp3 audio/mpeg");
    }

    #[test]
    fn unsupported_codecs_are_refused_with_alternatives() {
        let why = container(json!({"container": "WEBM"}), Some(VideoCodec::H264), &[]).unwrap_err();
        assert!(why.contains("H_264 is not supported in WEBM, which takes VP9, AV1"), "{why}");
        let why =
            container(json!({"container": "MP4"}), None, &[AudioCodec::Aac, AudioCodec::Wav]).unwrap_err();
        assert!(why.contains("/o/audioDescriptions/1/") && why.contains("WAV"), "{why}");
        assert!(
            container(json!({"container": "RAW"}), None, &[AudioCodec::Opus]).unwrap_err().contains("OGG")
        );
        assert!(container(json!({"container": "RAW"}), Some(VideoCodec::H264), &[]).is_err());
    }

    #[test]
    fn transport_streams_are_constant_only_with_cbr() {
        let rate = |settings: Value| {
            let made =
                container(json!({"container": "M2TS", "m2tsSettings": settings}), None, &[AudioCodec::Aac]);
            match made.unwrap() {
                Container::TransportStream(stream) => stream.constant_bps,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(rate(json!({"rateMode": "CBR", "bitrate": 8_000_000})), Some(8_000_000));
        assert_eq!(rate(json!({"rateMode": "VBR", "bitrate": 8_000_000})), None);
        assert_eq!(rate(json!({"rateMode": "CBR", "bitrate": 0})), None);
    }
}
