//! Writes DASH manifests (ISO/IEC 23009-1 section 5): static MPDs with one period.

use abanico_media::ExactTime;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::text::uri;
use crate::{ByteRange, VariantVideo};

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
const ROLE: &str = "urn:mpeg:dash:role:2011";
/// Scheme for the purpose of an audio stream; 1 is audio description for the visually impaired (section
/// 5.8.4.3, DASH-IF IOP).
const AUDIO_PURPOSE: &str = "urn:tva:metadata:cs:AudioPurposeCS:2007";
/// Scheme for channel configurations: coding-independent code points (ISO/IEC 23091-3).
const CHANNELS: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";

/// The MPD profile: what a player must support.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MpdProfile {
    /// ISO base media file format, main profile.
    Main,
    /// ISO base media file format, on-demand profile: each stream is one file with an index.
    OnDemand,
}

/// Where the segments of a stream are. Paths are relative to the manifest and not percent-encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addressing {
    /// One file per segment, numbered from 1 with nine digits.
    Numbered {
        /// Path of the initialisation section.
        initialisation: String,
        /// The part of the path before the number.
        before: String,
        /// The part of the path after the number.
        after: String,
        /// Ticks per second of `timing`.
        timescale: u32,
        /// Durations of the segments.
        timing: SegmentTiming,
    },
    /// All segments in one file.
    SingleFile {
        /// Path of the file.
        path: String,
        /// Byte range of the initialisation section.
        initialisation: ByteRange,
        /// Byte range of the index.
        index: ByteRange,
    },
}

/// Durations of segments, in ticks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SegmentTiming {
    /// The approximate duration of every segment but the last.
    Nominal(u64),
    /// The exact duration of each segment, in order.
    Exact(Vec<u64>),
}

/// Audio properties of a representation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PresentedSound {
    /// Sample rate in hertz.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u16,
}

/// One stream of the presentation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Representation {
    /// Identifier, unique in the manifest.
    pub id: String,
    /// Bandwidth in bits per second.
    pub bandwidth_bps: u64,
    /// RFC 6381 codec name.
    pub codecs: String,
    /// Video properties; `None` for audio.
    pub video: Option<VariantVideo>,
    /// Audio properties; `None` for video.
    pub sound: Option<PresentedSound>,
    /// Where its segments are.
    pub addressing: Addressing,
}

/// Streams that a player can switch between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdaptationSet {
    /// RFC 5646 tag, if known.
    pub language: Option<String>,
    /// Label that a player shows; empty for none.
    pub label: String,
    /// Whether it plays unless the user chooses another.
    pub is_main: bool,
    /// Whether it is an audio description for the visually impaired.
    pub describes_video: bool,
    /// At least one representation; either all video or all audio.
    pub representations: Vec<Representation>,
}

/// A whole manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaPresentation {
    /// What a player must support.
    pub profile: MpdProfile,
    /// Duration of the presentation.
    pub duration: ExactTime,
    /// How much a player should buffer before it starts, at the listed bandwidths.
    pub min_buffer: ExactTime,
    /// Prefix of every path; empty for none.
    pub base_url: String,
    /// The streams, in adaptation sets.
    pub adaptation_sets: Vec<AdaptationSet>,
}

impl MediaPresentation {
    /// Returns the text of the manifest.
    pub fn render(&self) -> String {
        let mut xml = Xml(Writer::new_with_indent(Vec::new(), b' ', 2));
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        let profile = match self.profile {
            MpdProfile::Main => "urn:mpeg:dash:profile:isoff-main:2011",
            MpdProfile::OnDemand => "urn:mpeg:dash:profile:isoff-on-demand:2011",
        };
        let length = period(self.duration);
        let attributes = [
            ("xmlns", NAMESPACE),
            ("type", "static"),
            ("profiles", profile),
            ("minBufferTime", &period(self.min_buffer)),
            ("mediaPresentationDuration", &length),
        ];
        xml.element("MPD", &attributes, |xml| {
            if !self.base_url.is_empty() {
                xml.text("BaseURL", &self.base_url);
            }
            xml.element("Period", &[("id", "1"), ("start", "PT0S"), ("duration", &length)], |xml| {
                for (index, set) in self.adaptation_sets.iter().enumerate() {
                    set.write(index, xml);
                }
            });
        });
        // Only text was written, so this loses nothing.
        String::from_utf8_lossy(&xml.0.into_inner()).into_owned() + "\n"
    }
}

impl AdaptationSet {
    fn write(&self, index: usize, xml: &mut Xml) {
        let kind =
            if self.representations.iter().any(|stream| stream.video.is_some()) { "video" } else { "audio" };
        let (id, mime) = (index.to_string(), format!("{kind}/mp4"));
        let mut attributes = vec![("id", id.as_str()), ("contentType", kind), ("mimeType", &mime)];
        if let Some(language) = &self.language {
            attributes.push(("lang", language));
        }
        // All streams are cut at the same times, and every segment begins with a frame that decodes on its own.
        attributes.extend([("segmentAlignment", "true"), ("startWithSAP", "1")]);
        if self
            .representations
            .iter()
            .any(|stream| matches!(stream.addressing, Addressing::SingleFile { .. }))
        {
            attributes.extend([("subsegmentAlignment", "true"), ("subsegmentStartsWithSAP", "1")]);
        }
        xml.element("AdaptationSet", &attributes, |xml| {
            if !self.label.is_empty() {
                xml.text("Label", &self.label);
            }
            if self.describes_video {
                xml.empty("Accessibility", &[("schemeIdUri", AUDIO_PURPOSE), ("value", "1")]);
            }
            let role = if self.is_main { "main" } else { "alternate" };
            xml.empty("Role", &[("schemeIdUri", ROLE), ("value", role)]);
            for stream in &self.representations {
                stream.write(xml);
            }
        });
    }
}

impl Representation {
    fn write(&self, xml: &mut Xml) {
        let bandwidth = self.bandwidth_bps.to_string();
        let mut attributes =
            vec![("id", self.id.clone()), ("bandwidth", bandwidth), ("codecs", self.codecs.clone())];
        if let Some(video) = &self.video {
            let rate = video.rate.per_second();
            attributes.push(("width", video.size.width.to_string()));
            attributes.push(("height", video.size.height.to_string()));
            attributes.push(("frameRate", format!("{}/{}", rate.num(), rate.den())));
            attributes.push(("sar", format!("{}:{}", video.sample_aspect.num(), video.sample_aspect.den())));
        }
        if let Some(sound) = self.sound {
            attributes.push(("audioSamplingRate", sound.sample_rate_hz.to_string()));
        }
        let attributes: Vec<(&str, &str)> =
            attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        xml.element("Representation", &attributes, |xml| {
            if let Some(configuration) = self.sound.and_then(|sound| channel_configuration(sound.channels)) {
                xml.empty(
                    "AudioChannelConfiguration",
                    &[("schemeIdUri", CHANNELS), ("value", configuration)],
                );
            }
            self.addressing.write(xml);
        });
    }
}

impl Addressing {
    fn write(&self, xml: &mut Xml) {
        match self {
            Self::SingleFile { path, initialisation, index } => {
                xml.text("BaseURL", &uri(path));
                let index_range = bytes(*index);
                xml.element(
                    "SegmentBase",
                    &[("indexRange", &index_range), ("indexRangeExact", "true")],
                    |xml| {
                        xml.empty("Initialization", &[("range", &bytes(*initialisation))]);
                    },
                );
            }
            Self::Numbered { initialisation, before, after, timescale, timing } => {
                let media = format!("{}$Number%09d${}", template(before), template(after));
                let (initialisation, timescale) = (template(initialisation), timescale.to_string());
                let mut attributes = vec![
                    ("timescale", timescale.as_str()),
                    ("initialization", &initialisation),
                    ("media", &media),
                    ("startNumber", "1"),
                ];
                match timing {
                    SegmentTiming::Nominal(ticks) => {
                        let ticks = ticks.to_string();
                        attributes.push(("duration", &ticks));
                        xml.empty("SegmentTemplate", &attributes);
                    }
                    SegmentTiming::Exact(durations) => {
                        xml.element("SegmentTemplate", &attributes, |xml| {
                            xml.element("SegmentTimeline", &[], |xml| timeline(durations, xml));
                        });
                    }
                }
            }
        }
    }
}

/// Writes a segment timeline; consecutive equal durations share one entry (section 5.3.9.6).
fn timeline(durations: &[u64], xml: &mut Xml) {
    for (index, run) in durations.chunk_by(|one, next| one == next).enumerate() {
        let (length, more) = (run[0].to_string(), (run.len() - 1).to_string());
        let mut attributes = if index == 0 { vec![("t", "0")] } else { Vec::new() };
        attributes.push(("d", &length));
        if run.len() > 1 {
            attributes.push(("r", &more));
        }
        xml.empty("S", &attributes);
    }
}

/// Returns the code point of a common number of channels; `None` for others, which a player reads from the
/// stream.
fn channel_configuration(channels: u16) -> Option<&'static str> {
    ["1", "2", "3", "4", "5", "6"]
        .get(usize::from(channels).checked_sub(1)?)
        .copied()
        .or((channels == 8).then_some("12"))
}

/// Escapes a path for a template, where a dollar sign begins an identifier (section 5.3.9.4.4).
fn template(path: &str) -> String {
    uri(path).replace('$', "$$")
}

/// Writes a byte range as `first-last`.
fn bytes(range: ByteRange) -> String {
    format!("{}-{}", range.offset_bytes, range.end() - 1)
}

/// Writes a duration as in XML Schema.
fn period(time: ExactTime) -> String {
    format!("PT{}S", time.decimal())
}

/// Writes XML to memory.
struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn write(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("writing to memory cannot fail");
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Self)) {
        self.write(Event::Start(BytesStart::new(name).with_attributes(attributes.iter().copied())));
        inside(self);
        self.write(Event::End(BytesEnd::new(name)));
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.write(Event::Empty(BytesStart::new(name).with_attributes(attributes.iter().copied())));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.element(name, &[], |xml| xml.write(Event::Text(BytesText::new(text))));
    }
}

#[cfg(test)]
mod tests {
    use abanico_media::{FrameRate, Rational, Size};

    use super::*;

    fn numbered(timing: SegmentTiming) -> Addressing {
        Addressing::Numbered {
            initialisation: "a $ binit.mp4".to_owned(),
            before: "a $ b_".to_owned(),
            after: ".mp4".to_owned(),
            timescale: 1000,
            timing,
        }
    }

    fn picture(addressing: Addressing) -> Representation {
        Representation {
            id: "1".to_owned(),
            bandwidth_bps: 900_000,
            codecs: "avc1.64001f".to_owned(),
            video: Some(VariantVideo {
                size: Size { width: 640, height: 360 },
                sample_aspect: Rational::new(4, 3),
                rate: FrameRate::new(30000, 1001).unwrap(),
            }),
            sound: None,
            addressing,
        }
    }

    fn presentation(stream: Representation) -> MediaPresentation {
        MediaPresentation {
            profile: MpdProfile::Main,
            duration: ExactTime::from_millis(9500),
            min_buffer: ExactTime::from_millis(4000),
            base_url: String::new(),
            adaptation_sets: vec![AdaptationSet {
                language: None,
                label: String::new(),
                is_main: true,
                describes_video: false,
                representations: vec![stream],
            }],
        }
    }

    #[test]
    fn manifest_follows_the_standard() {
        let timing = SegmentTiming::Exact(vec![4000, 4000, 1500]);
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="urn:mpeg:dash:profile:isoff-main:2011" minBufferTime="PT4.000000S" mediaPresentationDuration="PT9.500000S">
  <Period id="1" start="PT0S" duration="PT9.500000S">
    <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/>
      <Representation id="1" bandwidth="900000" codecs="avc1.64001f" width="640" height="360" frameRate="30000/1001" sar="4:3">
        <SegmentTemplate timescale="1000" initialization="a%20$$%20binit.mp4" media="a%20$$%20b_$Number%09d$.mp4" startNumber="1">
          <SegmentTimeline>
            <S t="0" d="4000" r="1"/>
            <S d="1500"/>
          </SegmentTimeline>
        </SegmentTemplate>
      </Representation>
    </AdaptationSet>
  </Period>
</MPD>
"#;
        assert_eq!(presentation(picture(numbered(timing))).render(), expected);
    }

    #[test]
    fn nominal_duration_needs_no_timeline() {
        let text = presentation(picture(numbered(SegmentTiming::Nominal(4000)))).render();
        assert!(
            text.contains("startNumber=\"1\" duration=\"4000\"/>") && !text.contains("SegmentTimeline"),
            "{text}"
        );
    }

    #[test]
    fn single_file_has_index_and_initialisation_ranges() {
        let range = |offset_bytes, length_bytes| ByteRange { offset_bytes, length_bytes };
        let file = Addressing::SingleFile {
            path: "día.mp4".to_owned(),
            initialisation: range(0, 700),
            index: range(700, 68),
        };
        let mut manifest = presentation(picture(file));
        (manifest.profile, manifest.base_url) =
            (MpdProfile::OnDemand, "https://cdn.example/?a=1&b=2/".to_owned());
        let text = manifest.render();
        for part in [
            "isoff-on-demand:2011",
            "<BaseURL>https://cdn.example/?a=1&amp;b=2/</BaseURL>",
            "<BaseURL>d%C3%ADa.mp4</BaseURL>",
            "<SegmentBase indexRange=\"700-767\" indexRangeExact=\"true\">",
            "<Initialization range=\"0-699\"/>",
            "subsegmentStartsWithSAP=\"1\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn audio_has_language_channels_and_purpose() {
        let sound = Representation {
            codecs: "mp4a.40.2".to_owned(),
            video: None,
            sound: Some(PresentedSound { sample_rate_hz: 48_000, channels: 6 }),
            ..picture(numbered(SegmentTiming::Nominal(1)))
        };
        let mut manifest = presentation(sound);
        let set = &mut manifest.adaptation_sets[0];
        (set.language, set.label, set.describes_video) =
            (Some("es".to_owned()), "Español & más".to_owned(), true);
        set.is_main = false;
        let text = manifest.render();
        for part in [
            "contentType=\"audio\" mimeType=\"audio/mp4\" lang=\"es\"",
            "<Label>Español &amp; más</Label>",
            "AudioPurposeCS:2007\" value=\"1\"",
            "audioSamplingRate=\"48000\"",
            "cicp:ChannelConfiguration\" value=\"6\"",
            "role:2011\" value=\"alternate\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(
            (channel_configuration(8), channel_configuration(7), channel_configuration(0)),
            (Some("12"), None, None)
        );
    }
}
