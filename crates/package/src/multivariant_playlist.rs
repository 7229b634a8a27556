//! Multivariant playlists: in variants and renditions with what was measured of them, out the playlist that lists them
//! (RFC 8216 section 4.3.4). Never a variant whose bandwidth nobody measured.

use abanico_media::{FrameRate, Rational, Size};

use crate::text::{Attributes, uri};

/// What is known of the picture of a variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VariantVideo {
    /// Size in pixels.
    pub size: Size,
    /// Shape of its pixels, width over height.
    pub sample_aspect: Rational,
    /// Frames a second.
    pub rate: FrameRate,
}

/// One stream that a player can choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Path of its media playlist relative to this one, not encoded.
    pub path: String,
    /// Greatest bit rate of a segment, in bits a second, with the sound of its audio group.
    pub bandwidth_bps: u64,
    /// Bits of all segments by the length of all.
    pub average_bandwidth_bps: u64,
    /// RFC 6381 names, such as `avc1.64001f`; empty leaves the attribute out.
    pub codecs: Vec<String>,
    /// The picture; none for sound alone.
    pub video: Option<VariantVideo>,
    /// Whether `RESOLUTION` is written.
    pub shows_resolution: bool,
    /// Group of renditions with its sound, if it is not in the stream itself.
    pub audio_group: Option<String>,
    /// Group of subtitles, if any.
    pub subtitles_group: Option<String>,
}

/// A playlist of key frames for fast search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IFrameVariant {
    /// Path of its media playlist relative to this one, not encoded.
    pub path: String,
    /// Greatest bit rate of a key frame over its duration, in bits a second.
    pub bandwidth_bps: u64,
    /// RFC 6381 names.
    pub codecs: Vec<String>,
    /// Size of the picture.
    pub size: Size,
}

/// Kinds of renditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenditionKind {
    /// Sound.
    Audio,
    /// Subtitles as WebVTT.
    Subtitles,
}

/// An alternative that goes with variants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendition {
    /// What it is.
    pub kind: RenditionKind,
    /// Group that variants name.
    pub group: String,
    /// What a player shows.
    pub name: String,
    /// RFC 5646 tag, if known.
    pub language: Option<String>,
    /// Whether it plays when the user has not chosen.
    pub is_default: bool,
    /// Whether a player may choose it by the user's language.
    pub auto_select: bool,
    /// Uniform type identifiers of what it does for whom, separated by commas; empty for none.
    pub characteristics: &'static str,
    /// Number of channels, for sound.
    pub channels: Option<u16>,
    /// Path of its media playlist relative to this one, not encoded.
    pub path: String,
}

/// The playlist that a player opens first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultivariantPlaylist {
    /// Streams in the order in which they are listed; the first is what a player starts with.
    pub variants: Vec<Variant>,
    /// Alternatives.
    pub renditions: Vec<Rendition>,
    /// Key frames.
    pub i_frame_variants: Vec<IFrameVariant>,
    /// Put before every path; empty for none.
    pub base_url: String,
}

impl MultivariantPlaylist {
    /// The text, with a line feed after every line.
    pub fn render(&self) -> String {
        let version = if self.i_frame_variants.is_empty() && self.renditions.is_empty() { 3 } else { 4 };
        let mut lines = vec!["#EXTM3U".to_owned(), format!("#EXT-X-VERSION:{version}")];
        // Every segment begins with a key frame, so each can be decoded alone.
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
        // A default that may not be chosen by itself contradicts itself (section 4.3.4.1).
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

/// A fraction with three decimals, rounded, as `FRAME-RATE` wants it.
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
    fn does_a_variant_tell_all_that_a_player_chooses_by() {
        let playlist = MultivariantPlaylist { variants: vec![variant()], ..MultivariantPlaylist::default() };
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2100000,AVERAGE-BANDWIDTH=1900000,CODECS=\"avc1.64001f,mp4a.40.2\",\
            RESOLUTION=1280x720,FRAME-RATE=29.970\nfilm%20720p.m3u8\n";
        assert_eq!(playlist.render(), expected);
    }

    #[test]
    fn do_renditions_stand_before_the_variants_that_name_them() {
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
    fn are_key_frames_listed_with_their_own_bandwidth() {
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
