//! Writes HLS multivariant playlists (RFC 8216 section 4.3.4), which list variants and renditions with their
//! measured bandwidths.

use abanico_media::{FrameRate, Rational, Size};

use crate::text::{Attributes, uri};

/// Video properties of a variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VariantVideo {
    /// Frame size in pixels.
    pub size: Size,
    /// Sample aspect ratio, width over height.
    pub sample_aspect: Rational,
    /// Frame rate.
    pub rate: FrameRate,
}

/// One stream that a player can choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Path of its media playlist relative to this one, not percent-encoded.
    pub path: String,
    /// Peak segment bit rate in bits per second, including the audio group.
    pub bandwidth_bps: u64,
    /// Average bit rate over all segments in bits per second.
    pub average_bandwidth_bps: u64,
    /// RFC 6381 codec names, such as `avc1.64001f`. If empty, the attribute is left out.
    pub codecs: Vec<String>,
    /// Video properties; `None` for an audio-only variant.
    pub video: Option<VariantVideo>,
    /// Whether `RESOLUTION` is written.
    pub shows_resolution: bool,
    /// Group of audio renditions, if the audio is not in the stream itself.
    pub audio_group: Option<String>,
    /// Group of subtitle renditions, if any.
    pub subtitles_group: Option<String>,
}

/// An I-frame playlist, for fast forward and rewind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IFrameVariant {
    /// Path of its media playlist relative to this one, not percent-encoded.
    pub path: String,
    /// Peak bit rate of a key frame over its duration, in bits per second.
    pub bandwidth_bps: u64,
    /// RFC 6381 codec names.
    pub codecs: Vec<String>,
    /// Frame size in pixels.
    pub size: Size,
}

/// Kinds of renditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenditionKind {
    /// Audio.
    Audio,
    /// WebVTT subtitles.
    Subtitles,
}

/// An alternative audio or subtitle stream of variants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendition {
    /// Whether it is audio or subtitles.
    pub kind: RenditionKind,
    /// The group, by which variants refer to it.
    pub group: String,
    /// Name that a player shows.
    pub name: String,
    /// RFC 5646 tag, if known.
    pub language: Option<String>,
    /// Whether it plays when the user has not chosen.
    pub is_default: bool,
    /// Whether a player may select it by the user's language.
    pub auto_select: bool,
    /// Uniform type identifiers of its characteristics, separated by commas; empty for none.
    pub characteristics: &'static str,
    /// Number of channels, for audio.
    pub channels: Option<u16>,
    /// Path of its media playlist relative to this one, not percent-encoded.
    pub path: String,
}

/// The playlist that a player opens first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultivariantPlaylist {
    /// Variants in the order in which they are listed; players start with the first.
    pub variants: Vec<Variant>,
    /// Alternative audio and subtitle streams.
    pub renditions: Vec<Rendition>,
    /// I-frame playlists.
    pub i_frame_variants: Vec<IFrameVariant>,
    /// Prefix of every path; empty for none.
    pub base_url: String,
}

impl MultivariantPlaylist {
    /// Returns the text of the playlist, with a line feed after every line.
    pub fn render(&self) -> String {
        let version = if self.i_frame_variants.is_empty() && self.renditions.is_empty() { 3 } else { 4 };
        let mut lines = vec!["#EXTM3U".to_owned(), format!("#EXT-X-VERSION:{version}")];
        // Every segment begins with a key frame, so each decodes on its own.
        lines.push("#EXT-X-INDEPENDENT-SEGMENTS".to_owned());
        lines.extend(self.renditions.iter().map(|rendition| self.media_tag(rendition)));
        for variant in &self.variants {
            lines.push(stream_tag(variant));
            lines.push(self.reference(&variant.path));
        }
        lines.extend(self.i_frame_variants.iter().map(|variant| self.i_frame_tag(variant)));
        lines.push(String::new());
        lines.join("\n")
    }

    fn media_tag(&self, rendition: &Rendition) -> String {
        let kind = match rendition.kind {
            RenditionKind::Audio => "AUDIO",
            RenditionKind::Subtitles => "SUBTITLES",
        };
        let yes_no = |yes: bool| if yes { "YES" } else { "NO" };
        let mut attributes = Attributes::default();
        attributes.plain("TYPE", kind).quoted("GROUP-ID", &rendition.group);
        if let Some(language) = &rendition.language {
            attributes.quoted("LANGUAGE", language);
        }
        attributes.quoted("NAME", &rendition.name);
        attributes.plain("DEFAULT", yes_no(rendition.is_default));
        // DEFAULT=YES requires AUTOSELECT=YES (section 4.3.4.1).
        attributes.plain("AUTOSELECT", yes_no(rendition.auto_select || rendition.is_default));
        if rendition.kind == RenditionKind::Subtitles {
            attributes.plain("FORCED", "NO");
        }
        if !rendition.characteristics.is_empty() {
            attributes.quoted("CHARACTERISTICS", rendition.characteristics);
        }
        if let Some(channels) = rendition.channels {
            attributes.quoted("CHANNELS", &channels.to_string());
        }
        attributes.quoted("URI", &self.reference(&rendition.path));
        format!("#EXT-X-MEDIA:{}", attributes.text())
    }

    fn i_frame_tag(&self, variant: &IFrameVariant) -> String {
        let mut attributes = Attributes::default();
        attributes.plain("BANDWIDTH", variant.bandwidth_bps).quoted("CODECS", &variant.codecs.join(","));
        attributes.plain("RESOLUTION", variant.size).quoted("URI", &self.reference(&variant.path));
        format!("#EXT-X-I-FRAME-STREAM-INF:{}", attributes.text())
    }

    fn reference(&self, path: &str) -> String {
        format!("{}{}", self.base_url, uri(path))
    }
}

fn stream_tag(variant: &Variant) -> String {
    let mut attributes = Attributes::default();
    attributes.plain("BANDWIDTH", variant.bandwidth_bps);
    attributes.plain("AVERAGE-BANDWIDTH", variant.average_bandwidth_bps);
    if !variant.codecs.is_empty() {
        attributes.quoted("CODECS", &variant.codecs.join(","));
    }
    if let Some(video) = &variant.video {
        if variant.shows_resolution {
            attributes.plain("RESOLUTION", video.size);
        }
        attributes.plain("FRAME-RATE", thousandths(video.rate.per_second()));
    }
    if let Some(group) = &variant.audio_group {
        attributes.quoted("AUDIO", group);
    }
    if let Some(group) = &variant.subtitles_group {
        attributes.quoted("SUBTITLES", group);
    }
    format!("#EXT-X-STREAM-INF:{}", attributes.text())
}

/// Writes a fraction with three decimals, rounded, for `FRAME-RATE`.
fn thousandths(number: Rational) -> String {
    let scaled = (number * Rational::from(1000)).round();
    format!("{}.{:03}", scaled / 1000, scaled % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant() -> Variant {
        Variant {
            path: "film 720p.m3u8".to_owned(),
            bandwidth_bps: 2_100_000,
            average_bandwidth_bps: 1_900_000,
            codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
            video: Some(VariantVideo {
                size: Size { width: 1280, height: 720 },
                sample_aspect: Rational::ONE,
                rate: FrameRate::new(30000, 1001).unwrap(),
            }),
            shows_resolution: true,
            audio_group: None,
            subtitles_group: None,
        }
    }

    fn rendition(name: &str) -> Rendition {
        Rendition {
            kind: RenditionKind::Audio,
            group: "program_audio".to_owned(),
            name: name.to_owned(),
            language: Some("es".to_owned()),
            is_default: true,
            auto_select: false,
            characteristics: "",
            channels: Some(2),
            path: "es.m3u8".to_owned(),
        }
    }

    #[test]
    fn variant_has_all_attributes() {
        let playlist = MultivariantPlaylist { variants: vec![variant()], ..MultivariantPlaylist::default() };
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2100000,AVERAGE-BANDWIDTH=1900000,CODECS=\"avc1.64001f,mp4a.40.2\",\
            RESOLUTION=1280x720,FRAME-RATE=29.970\nfilm%20720p.m3u8\n";
        assert_eq!(playlist.render(), expected);
    }

    #[test]
    fn renditions_precede_variants() {
        let with_group = Variant { audio_group: Some("program_audio".to_owned()), ..variant() };
        let playlist = MultivariantPlaylist {
            variants: vec![with_group],
            renditions: vec![rendition("Español")],
            ..MultivariantPlaylist::default()
        };
        let text = playlist.render();
        let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"program_audio\",LANGUAGE=\"es\",NAME=\"Español\",\
                     DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"es.m3u8\"\n";
        assert!(text.find(media).unwrap() < text.find("#EXT-X-STREAM-INF").unwrap(), "{text}");
        assert!(text.contains("AUDIO=\"program_audio\"\n"), "{text}");
    }

    #[test]
    fn i_frame_variant_has_its_own_bandwidth() {
        let frames = IFrameVariant {
            path: "i.m3u8".to_owned(),
            bandwidth_bps: 90_000,
            codecs: vec!["avc1.64001f".to_owned()],
            size: Size { width: 1280, height: 720 },
        };
        let playlist = MultivariantPlaylist {
            i_frame_variants: vec![frames],
            base_url: "https://cdn.example/v/".to_owned(),
            ..MultivariantPlaylist::default()
        };
        assert!(playlist.render().ends_with(
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,CODECS=\"avc1.64001f\",RESOLUTION=1280x720,\
             URI=\"https://cdn.example/v/i.m3u8\"\n"
        ));
    }
}
