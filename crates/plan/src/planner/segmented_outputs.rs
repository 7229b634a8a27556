//! Plans one segmented output: how it is cut, named and listed. It refuses codecs that its segments do not
//! support.

use abanico_model::generated::Output;
use abanico_model::output_groups::Manifest;

use super::outputs::{NamedOutput, OutputPlace};
use super::{Draft, Packaging, SegmentedSettings, count};
use crate::packaging::{fragmented, hls, transport_stream};
use crate::video::renditions::Decision;
use crate::{
    AudioCodec, AudioRate, AudioStream, Error, SegmentFormat, SegmentRule, Segmentation, SegmentedOutput,
    Streams,
};

/// MIME type of a playlist (RFC 8216 section 4).
const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

impl Draft<'_> {
    pub(super) fn segmented_output(
        &self,
        settings: &SegmentedSettings<'_>,
        rule: SegmentRule,
        decision: Option<&Decision>,
        streams: Streams,
        place: OutputPlace<'_>,
    ) -> Result<(Packaging, NamedOutput), Error> {
        let OutputPlace { number, output, pointer } = place;
        check_container(settings, output, pointer)?;
        check_sound_is_known(&streams, pointer).map_err(Error::of_input)?;
        let is_copied = streams.audio.iter().any(is_copied);
        let named = self.name_facts(decision, &streams, Manifest::Playlists.extension());
        let modifier = self.modifier(output, &named);
        if modifier.is_empty() && settings.group.playlists.is_some() {
            return Err(Error::setting(pointer, "nameModifier is a required property"));
        }
        let base = settings.names.base();
        let group = &settings.group;
        let (format, names, role, i_frames) = match &group.fragments {
            None => {
                check_transport_stream(decision, &streams, pointer)
                    .map_err(|error| error.of_input_if(is_copied))?;
                let container = output.container_settings.as_ref();
                let numbers =
                    transport_stream::transport_stream(container.and_then(|one| one.m3u8_settings.as_ref()));
                let group = settings.hls.cloned().unwrap_or_default();
                let names = hls::names(base, settings.streams, &group, output, &modifier, &named);
                let role = hls::role_settings(output).role(&streams, &modifier);
                (SegmentFormat::TransportStream(numbers), names, role, hls::has_i_frames(output))
            }
            Some(fragments) => {
                check_fragments(settings.kind.facts().name, &streams, pointer)
                    .map_err(|error| error.of_input_if(is_copied))?;
                let names = fragmented::names(base, &modifier, settings.streams, streams.video.is_some());
                let role = fragmented::role_settings(output, number).role(&streams, &modifier);
                let format = SegmentFormat::Fragmented(fragments.clone());
                (format, names, role, fragmented::has_i_frames(output))
            }
        };
        let cut = SegmentedOutput {
            output: count(self.outputs.len()),
            role,
            i_frames: i_frames && streams.video.is_some() && group.playlists.is_some(),
            segmentation: self.segmentation(&rule, decision, &streams)?,
            streams,
            format,
            names,
            single_file: group.single_file,
            playlist: group.playlists.clone(),
        };
        let (path, content_type) = first_file(&cut);
        let made = NamedOutput { url: cut.names.url(&path), modifier, content_type };
        Ok((Packaging::Segments(Box::new(cut)), made))
    }

    fn segmentation(
        &self,
        rule: &SegmentRule,
        decision: Option<&Decision>,
        streams: &Streams,
    ) -> Result<Segmentation, Error> {
        if let (None, Some(sound)) = (decision, streams.audio.first()) {
            return Ok(hls::sound_segments(rule, sound, self.audio[sound.index as usize].end));
        }
        let rate = decision.map_or(self.first_track()?.frame_rate, |decision| decision.rate);
        Ok(Segmentation::cut(rule, rate, self.frames(rate)))
    }
}

/// Returns the path and MIME type of the file that represents the output to the user: its media playlist, or
/// its first file.
fn first_file(cut: &SegmentedOutput) -> (String, &'static str) {
    match (&cut.playlist, &cut.format) {
        // The playlist's name represents the stream even if no playlist is written, as in earlier versions.
        (Some(_), _) | (None, SegmentFormat::TransportStream(_)) => {
            (cut.names.playlist.clone(), PLAYLIST_TYPE)
        }
        _ if cut.single_file => (cut.names.single_file(), cut.media_type()),
        _ => (cut.names.initialisation(), cut.media_type()),
    }
}

/// Checks that an output names the container of its group, or none.
fn check_container(settings: &SegmentedSettings<'_>, output: &Output, pointer: &str) -> Result<(), Error> {
    let (name, wanted) = (settings.kind.facts().name, &settings.streams.container);
    let container = output.container_settings.as_ref().and_then(|settings| settings.container.as_ref());
    match container.filter(|container| *container != wanted) {
        None => Ok(()),
        Some(other) => {
            let why = format!("container {other} is not supported in {name} output groups: use {wanted}");
            Err(Error::setting(&format!("{pointer}/containerSettings/container"), &why))
        }
    }
}

fn is_copied(sound: &AudioStream) -> bool {
    matches!(sound.coding.rate, AudioRate::Copied(_))
}

/// Refuses AAC that is passed through. Manifests name the AAC profile, which the source's header does not
/// state reliably.
fn check_sound_is_known(streams: &Streams, pointer: &str) -> Result<(), Error> {
    let position =
        streams.audio.iter().position(|sound| is_copied(sound) && sound.coding.codec == AudioCodec::Aac);
    let Some(index) = position else { return Ok(()) };
    let pointer = format!("{pointer}/audioDescriptions/{index}/codecSettings/codec");
    Err(Error::setting(&pointer, "PASSTHROUGH of AAC is supported in file groups only: encode it as AAC"))
}

fn check_transport_stream(
    decision: Option<&Decision>,
    streams: &Streams,
    pointer: &str,
) -> Result<(), Error> {
    if let Some(codec) = hls::unfit_codec(streams) {
        let why = format!("{} is not supported in HLS: use AAC, MP3, AC3 or EAC3", codec.wire());
        return Err(Error::setting(&format!("{pointer}/audioDescriptions/0/codecSettings/codec"), &why));
    }
    if let Some(decision) = decision.filter(|decision| !decision.coding.codec().goes_in_transport_streams()) {
        let name = decision.coding.codec().wire();
        let why = format!("{name} is not supported in MPEG-2 TS segments: use H_264 or H_265");
        return Err(Error::setting(&format!("{pointer}/videoDescription/codecSettings/codec"), &why));
    }
    Ok(())
}

/// Checks that a fragmented output has exactly one stream, so that players can combine any video with any
/// audio.
fn check_fragments(name: &str, streams: &Streams, pointer: &str) -> Result<(), Error> {
    if usize::from(streams.video.is_some()) + streams.audio.len() != 1 {
        let why = format!(
            "an output of a {name} group must have exactly one stream: put the audio in a separate output"
        );
        return Err(Error::setting(pointer, &why));
    }
    let fits = |codec: &AudioCodec| matches!(codec, AudioCodec::Aac | AudioCodec::Ac3 | AudioCodec::Eac3);
    if let Some(codec) = streams.audio.iter().map(|sound| sound.coding.codec).find(|codec| !fits(codec)) {
        let why = format!("{} is not supported in {name} groups: use AAC, AC3 or EAC3", codec.wire());
        return Err(Error::setting(&format!("{pointer}/audioDescriptions/0/codecSettings/codec"), &why));
    }
    Ok(())
}
