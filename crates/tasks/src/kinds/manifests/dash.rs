//! Builds the MPD of a group. An adaptation set holds only streams that a player can switch between.

use abanico_media::Rational;
use abanico_package::{
    AdaptationSet, Addressing, ByteRange, MediaPresentation, MpdProfile, PresentedSound, Representation,
    SegmentTiming, VariantVideo,
};
use abanico_plan::{DashStyle, GroupManifests, ListedStream, StreamRole};

use super::MadeStream;
use crate::kinds::segment::MeasuredFragments;

/// Returns the presentation of all streams.
pub(super) fn presentation(
    group: &GroupManifests,
    style: &DashStyle,
    streams: &[MadeStream<'_>],
) -> MediaPresentation {
    let mut sets: Vec<(Together<'_>, AdaptationSet)> = Vec::new();
    for made in streams {
        let Some(stream) = representation(made, style) else { continue };
        let together = Together::of(made);
        if let Some((_, set)) = sets.iter_mut().find(|(other, _)| *other == together) {
            set.representations.push(stream);
            continue;
        }
        let is_first = sets.iter().all(|(other, _)| other.is_video != together.is_video);
        sets.push((together, adaptation_set(made.listed, stream, is_first)));
    }
    MediaPresentation {
        profile: if style.on_demand { MpdProfile::OnDemand } else { MpdProfile::Main },
        duration: group.duration,
        min_buffer: style.min_buffer,
        base_url: style.base_url.clone(),
        adaptation_sets: sets.into_iter().map(|(_, set)| set).collect(),
    }
}

/// Properties shared by streams that a player can switch between: whether they are video, codec, language, channels
/// and label.
#[derive(PartialEq, Eq)]
struct Together<'a> {
    is_video: bool,
    codec: &'a str,
    language: Option<&'a str>,
    channels: u16,
    label: &'a str,
}

impl<'a> Together<'a> {
    fn of(made: &'a MadeStream<'_>) -> Self {
        let codec = made.measured.codecs.first().map_or("", String::as_str);
        let label = match &made.listed.role {
            StreamRole::Audio { name, .. } => name,
            StreamRole::Variant { .. } | StreamRole::Subtitles { .. } => "",
        };
        Self {
            is_video: made.listed.video.is_some(),
            codec: codec.split('.').next().unwrap_or(codec),
            language: made.listed.language.as_deref(),
            channels: made.listed.channels,
            label,
        }
    }
}

fn adaptation_set(listed: &ListedStream, stream: Representation, is_first: bool) -> AdaptationSet {
    let (label, describes_video) = match &listed.role {
        StreamRole::Audio { name, describes_video, .. } => (name.clone(), *describes_video),
        StreamRole::Variant { .. } | StreamRole::Subtitles { .. } => (String::new(), false),
    };
    AdaptationSet {
        language: listed.language.clone(),
        label,
        is_main: is_first,
        describes_video,
        representations: vec![stream],
    }
}

fn representation(made: &MadeStream<'_>, style: &DashStyle) -> Option<Representation> {
    let (listed, measured) = (made.listed, &made.measured);
    let fragments = measured.fragmented.as_ref()?;
    let told =
        listed.video.filter(|video| style.tells_maximum && video.max_bps > 0).map(|video| video.max_bps);
    Some(Representation {
        id: (listed.output + 1).to_string(),
        bandwidth_bps: told.unwrap_or(measured.average_bps),
        codecs: measured.codecs.join(","),
        video: listed.video.map(|video| VariantVideo {
            size: video.size,
            sample_aspect: video.sample_aspect,
            rate: video.rate,
        }),
        sound: (listed.channels > 0)
            .then_some(PresentedSound { sample_rate_hz: listed.sample_rate_hz, channels: listed.channels }),
        addressing: addressing(listed, fragments, style.exact_timeline),
    })
}

fn addressing(listed: &ListedStream, fragments: &MeasuredFragments, is_exact: bool) -> Addressing {
    let initialisation = ByteRange { offset_bytes: 0, length_bytes: fragments.initialisation_bytes };
    if listed.single_file {
        return Addressing::SingleFile {
            path: listed.names.single_file(),
            initialisation,
            index: ByteRange { offset_bytes: initialisation.end(), length_bytes: fragments.index_bytes },
        };
    }
    let (before, after) = listed.names.around_number();
    let nominal = listed.segment_length.seconds() * Rational::from(i64::from(fragments.timescale));
    Addressing::Numbered {
        initialisation: listed.names.initialisation(),
        before,
        after,
        timescale: fragments.timescale,
        timing: if is_exact {
            SegmentTiming::Exact(fragments.segment_ticks.clone())
        } else {
            SegmentTiming::Nominal(u64::try_from(nominal.round()).unwrap_or(1).max(1))
        },
    }
}

#[cfg(test)]
mod tests {
    use abanico_media::{ExactTime, FrameRate, Size};
    use abanico_plan::{ListedVideo, SegmentNames};

    use super::*;
    use crate::kinds::segment::MeasuredStream;

    fn listed(output: u32, is_video: bool, label: &str) -> ListedStream {
        let audio = StreamRole::Audio {
            group: "a".to_owned(),
            name: label.to_owned(),
            is_default: true,
            auto_select: true,
            describes_video: false,
        };
        ListedStream {
            output,
            names: SegmentNames {
                folder_url: "s3://out/".to_owned(),
                playlist: String::new(),
                media: format!("film_{output}"),
                extension: "mp4".to_owned(),
                digits: 9,
                segments_per_folder: None,
            },
            i_frames: false,
            single_file: false,
            segment_length: ExactTime::from_millis(4000),
            video: is_video.then(|| ListedVideo {
                size: Size { width: 640, height: 360 },
                sample_aspect: Rational::ONE,
                rate: FrameRate::new(25, 1).unwrap(),
                max_bps: 900_000,
            }),
            language: (!is_video).then(|| "spa".to_owned()),
            channels: if is_video { 0 } else { 2 },
            sample_rate_hz: 48_000,
            role: if is_video { StreamRole::Variant { audio_groups: Vec::new() } } else { audio },
        }
    }

    fn measured(codec: &str) -> MeasuredStream {
        MeasuredStream {
            codecs: vec![codec.to_owned()],
            peak_bps: 800_000,
            average_bps: 500_000,
            i_frame_peak_bps: 0,
            fragmented: Some(MeasuredFragments {
                timescale: 1000,
                segment_ticks: vec![4000, 1500],
                initialisation_bytes: 700,
                index_bytes: 44,
            }),
        }
    }

    #[test]
    fn switchable_streams_share_an_adaptation_set() {
        let listed = [
            listed(0, true, ""),
            listed(1, true, ""),
            listed(2, true, ""),
            listed(3, false, "Español"),
            listed(4, false, "Director"),
        ];
        let codecs = ["avc1.64001f", "avc1.4d401e", "hvc1.1.6.L93.90", "mp4a.40.2", "mp4a.40.2"];
        let streams: Vec<MadeStream<'_>> = listed
            .iter()
            .zip(codecs)
            .map(|(listed, codec)| MadeStream { listed, measured: measured(codec) })
            .collect();
        let group = GroupManifests {
            group: 0,
            streams: Vec::new(),
            duration: ExactTime::from_millis(5500),
            hls: None,
            dash: None,
        };
        let style = DashStyle {
            on_demand: false,
            exact_timeline: true,
            min_buffer: ExactTime::from_millis(4000),
            tells_maximum: true,
            base_url: String::new(),
        };
        let made = presentation(&group, &style, &streams);
        let ids: Vec<Vec<&str>> = made
            .adaptation_sets
            .iter()
            .map(|set| set.representations.iter().map(|stream| stream.id.as_str()).collect())
            .collect();
        assert_eq!(ids, [vec!["1", "2"], vec!["3"], vec!["4"], vec!["5"]]);
        let is_main: Vec<bool> = made.adaptation_sets.iter().map(|set| set.is_main).collect();
        assert_eq!(is_main, [true, false, true, false]);
        let bandwidths = |index: usize| made.adaptation_sets[index].representations[0].bandwidth_bps;
        assert_eq!((bandwidths(0), bandwidths(2)), (900_000, 500_000), "audio has no maximum");
    }

    #[test]
    fn single_file_has_ranges_and_others_numbers() {
        let mut stream = listed(0, true, "");
        let fragments = measured("avc1.64001f").fragmented.unwrap();
        let Addressing::Numbered { timing, before, .. } = addressing(&stream, &fragments, false) else {
            panic!()
        };
        assert_eq!((timing, before.as_str()), (SegmentTiming::Nominal(4000), "film_0_"));
        stream.single_file = true;
        let Addressing::SingleFile { index, path, .. } = addressing(&stream, &fragments, false) else {
            panic!()
        };
        assert_eq!((index.offset_bytes, index.length_bytes, path.as_str()), (700, 44, "film_0.mp4"));
    }
}
