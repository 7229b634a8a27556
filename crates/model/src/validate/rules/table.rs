//! The rules between the members of one structure, as data. Each row has the shapes of AWS's model that it applies to.
//! Facts are from AWS's documentation of these members and from messages of the service.

use crate::output_groups;

use self::Rule::{Choice, Multiple, MustBe, Needs, NeedsWith, NotBelow, OneOf, OnlyWith, Unfit, Within};

/// A rule about the members of one structure.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Rule {
    /// These members are required, although AWS's model calls them optional.
    Needs(&'static [&'static str]),
    /// With this value of the first member, these members are required.
    NeedsWith(&'static str, &'static str, &'static [&'static str]),
    /// Each of these members has the settings of certain values of `by`.
    Choice {
        /// Member that chooses.
        by: &'static str,
        /// Members with settings, and the values that they belong to.
        settings: &'static [(&'static str, &'static [&'static str])],
        /// Whether a choice needs its settings, and takes no others beside them.
        is_needed: bool,
    },
    /// The first member goes only with these values of the second.
    OnlyWith(&'static str, &'static str, &'static [&'static str]),
    /// With this value of `by`, `member` must be left out.
    Unfit {
        /// Member that chooses.
        by: &'static str,
        /// Its value.
        value: &'static str,
        /// Member to leave out.
        member: &'static str,
        /// The service's words for the structure.
        told: &'static str,
    },
    /// With this value of the first member, the third is not below the fourth.
    NotBelow(&'static str, &'static str, &'static str, &'static str),
    /// Each of these members is a multiple of this number.
    Multiple(&'static [&'static str], i64),
    /// This member has one of these values.
    OneOf(&'static str, &'static [i64]),
    /// With this value of the first member, the third is within these bounds.
    Within(&'static str, &'static str, &'static str, (i64, i64)),
    /// With this value of `by`, `member` must have the value `wanted`.
    MustBe {
        /// Member that chooses.
        by: &'static str,
        /// Its value.
        value: &'static str,
        /// Member that depends on it.
        member: &'static str,
        /// The value that it must have.
        wanted: &'static str,
    },
}

const RATES: &str = "Your job contains values for the following settings that are incompatible: Rate control mode, \
                     Bitrate, and Max bitrate.";

/// Bit rates of AAC.
const AAC_BIT_RATES: &[i64] = &[
    6000, 8000, 10_000, 12_000, 14_000, 16_000, 20_000, 24_000, 28_000, 32_000, 40_000, 48_000, 56_000,
    64_000, 80_000, 96_000, 112_000, 128_000, 160_000, 192_000, 224_000, 256_000, 288_000, 320_000, 384_000,
    448_000, 512_000, 576_000, 640_000, 768_000, 896_000, 1_024_000,
];

/// The shapes that each list of rules applies to.
pub(in super::super) const RULES: &[(&[&str], &[Rule])] = &[
    // Structures.
    (&["OutputGroup"], &[Needs(&["outputs", "outputGroupSettings"])]),
    (&["HlsGroupSettings"], &[Needs(&["segmentLength", "minSegmentLength"])]),
    (&["CmafGroupSettings", "DashIsoGroupSettings"], &[Needs(&["segmentLength", "fragmentLength"])]),
    (&["MsSmoothGroupSettings"], &[Needs(&["fragmentLength"])]),
    (&["RemixSettings"], &[Needs(&["channelMapping", "channelsIn", "channelsOut"])]),
    (&["StaticKeyProvider"], &[Needs(&["url", "staticKeyValue"])]),
    (&["InsertableImage"], &[Needs(&["imageX", "imageY", "imageInserterInput", "opacity", "layer"])]),
    (&["Rectangle"], &[Needs(&["x", "y", "width", "height"]), Multiple(&["x", "y", "width", "height"], 2)]),
    (&["VideoDescription"], &[Multiple(&["width", "height"], 2)]),
    // Inputs.
    (&["Input", "InputTemplate"], &[NeedsWith("timecodeSource", "SPECIFIEDSTART", &["timecodeStart"])]),
    (&["Input"], &[Needs(&["fileInput"])]),
    (&["TimecodeConfig"], &[NeedsWith("source", "SPECIFIEDSTART", &["start"])]),
    (&["AudioSelector"], &[NeedsWith("selectorType", "PID", &["pids"])]),
    (
        &["CaptionSourceSettings"],
        &[
            Choice { by: "sourceType", settings: CAPTION_SOURCES, is_needed: false },
            NeedsWith("sourceType", "SRT", &["fileSourceSettings"]),
            NeedsWith("sourceType", "WEBVTT", &["fileSourceSettings"]),
        ],
    ),
    (&["FileSourceSettings"], &[Needs(&["sourceFile"])]),
    // Choices and their settings.
    (&["OutputGroupSettings"], &[Needs(&["type"]), Choice { by: "type", settings: GROUPS, is_needed: true }]),
    (
        &["VideoCodecSettings"],
        &[Needs(&["codec"]), Choice { by: "codec", settings: VIDEO_CODECS, is_needed: true }],
    ),
    (
        &["AudioCodecSettings"],
        &[Needs(&["codec"]), Choice { by: "codec", settings: AUDIO_CODECS, is_needed: true }],
    ),
    (&["ContainerSettings"], &[Choice { by: "container", settings: CONTAINERS, is_needed: false }]),
    (
        &["CaptionDestinationSettings"],
        &[Choice { by: "destinationType", settings: CAPTION_DESTINATIONS, is_needed: false }],
    ),
    (&["NoiseReducer"], &[Choice { by: "filter", settings: NOISE_FILTERS, is_needed: false }]),
    // Rate control.
    (
        &["H264Settings", "H265Settings"],
        &[
            NeedsWith("rateControlMode", "CBR", &["bitrate"]),
            NeedsWith("rateControlMode", "VBR", &["bitrate"]),
            NeedsWith("rateControlMode", "QVBR", &["maxBitrate"]),
            Unfit { by: "rateControlMode", value: "CBR", member: "maxBitrate", told: RATES },
            Unfit { by: "rateControlMode", value: "QVBR", member: "bitrate", told: RATES },
            OnlyWith("qvbrSettings", "rateControlMode", &["QVBR"]),
            NotBelow("rateControlMode", "VBR", "maxBitrate", "bitrate"),
        ],
    ),
    (&["Vp8Settings", "Vp9Settings"], &[NotBelow("rateControlMode", "VBR", "maxBitrate", "bitrate")]),
    (&["Av1Settings"], &[NeedsWith("rateControlMode", "QVBR", &["maxBitrate"])]),
    (
        &["H264Settings"],
        &[MustBe { by: "codecProfile", value: "BASELINE", member: "entropyEncoding", wanted: "CAVLC" }],
    ),
    (
        WITH_FRAME_RATE,
        &[NeedsWith("framerateControl", "SPECIFIED", &["framerateNumerator", "framerateDenominator"])],
    ),
    (WITH_PIXEL_ASPECT, &[NeedsWith("parControl", "SPECIFIED", &["parNumerator", "parDenominator"])]),
    // Audio.
    (
        &["AacSettings"],
        &[
            Needs(&["codingMode", "sampleRate"]),
            OneOf("bitrate", AAC_BIT_RATES),
            OneOf(
                "sampleRate",
                &[8000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000],
            ),
        ],
    ),
    (&["Mp2Settings"], &[OneOf("sampleRate", &[32_000, 44_100, 48_000])]),
    (
        &["Mp3Settings"],
        &[
            OneOf("sampleRate", &[22_050, 24_000, 32_000, 44_100, 48_000]),
            NeedsWith("rateControlMode", "VBR", &["vbrQuality"]),
        ],
    ),
    (&["OpusSettings"], &[OneOf("sampleRate", &[16_000, 24_000, 48_000]), Multiple(&["bitrate"], 8000)]),
    (&["VorbisSettings"], &[OneOf("sampleRate", &[22_050, 32_000, 44_100, 48_000])]),
    (&["FlacSettings"], &[OneOf("channels", &[0, 1, 2, 4, 6, 8])]),
    (
        &["Ac3Settings"],
        &[
            Multiple(&["bitrate"], 8000),
            Within("codingMode", "CODING_MODE_1_0", "bitrate", (64_000, 128_000)),
            Within("codingMode", "CODING_MODE_1_1", "bitrate", (128_000, 384_000)),
            Within("codingMode", "CODING_MODE_2_0", "bitrate", (128_000, 384_000)),
            Within("codingMode", "CODING_MODE_3_2_LFE", "bitrate", (384_000, 640_000)),
        ],
    ),
    (
        &["Eac3Settings"],
        &[
            Multiple(&["bitrate"], 8000),
            Within("codingMode", "CODING_MODE_1_0", "bitrate", (32_000, 3_024_000)),
            Within("codingMode", "CODING_MODE_2_0", "bitrate", (96_000, 3_024_000)),
            Within("codingMode", "CODING_MODE_3_2", "bitrate", (192_000, 3_024_000)),
        ],
    ),
];

const WITH_FRAME_RATE: &[&str] = &[
    "Av1Settings",
    "AvcIntraSettings",
    "GifSettings",
    "H264Settings",
    "H265Settings",
    "Mpeg2Settings",
    "ProresSettings",
    "UncompressedSettings",
    "Vc3Settings",
    "Vp8Settings",
    "Vp9Settings",
    "XavcSettings",
];

const WITH_PIXEL_ASPECT: &[&str] =
    &["H264Settings", "H265Settings", "Mpeg2Settings", "ProresSettings", "Vp8Settings", "Vp9Settings"];

const GROUPS: &[(&str, &[&str])] = &groups();

/// Returns the member of each kind of output group with the type that it belongs to.
const fn groups() -> [(&'static str, &'static [&'static str]); output_groups::TYPES.len()] {
    let mut made = [("", &[] as &[&str]); output_groups::TYPES.len()];
    let mut index = 0;
    while index < made.len() {
        made[index] =
            (output_groups::GROUPS[index].member, std::slice::from_ref(&output_groups::TYPES[index]));
        index += 1;
    }
    made
}

const VIDEO_CODECS: &[(&str, &[&str])] = &[
    ("av1Settings", &["AV1"]),
    ("avcIntraSettings", &["AVC_INTRA"]),
    ("frameCaptureSettings", &["FRAME_CAPTURE"]),
    ("gifSettings", &["GIF"]),
    ("h264Settings", &["H_264"]),
    ("h265Settings", &["H_265"]),
    ("mpeg2Settings", &["MPEG2"]),
    ("proresSettings", &["PRORES"]),
    ("uncompressedSettings", &["UNCOMPRESSED"]),
    ("vc3Settings", &["VC3"]),
    ("vp8Settings", &["VP8"]),
    ("vp9Settings", &["VP9"]),
    ("xavcSettings", &["XAVC"]),
];

const AUDIO_CODECS: &[(&str, &[&str])] = &[
    ("aacSettings", &["AAC"]),
    ("ac3Settings", &["AC3"]),
    ("ac4Settings", &["AC4"]),
    ("aiffSettings", &["AIFF"]),
    ("eac3AtmosSettings", &["EAC3_ATMOS"]),
    ("eac3Settings", &["EAC3"]),
    ("flacSettings", &["FLAC"]),
    ("mp2Settings", &["MP2"]),
    ("mp3Settings", &["MP3"]),
    ("opusSettings", &["OPUS"]),
    ("vorbisSettings", &["VORBIS"]),
    ("wavSettings", &["WAV"]),
];

const CONTAINERS: &[(&str, &[&str])] = &[
    ("cmfcSettings", &["CMFC"]),
    ("f4vSettings", &["F4V"]),
    ("m2tsSettings", &["M2TS"]),
    ("m3u8Settings", &["M3U8"]),
    ("movSettings", &["MOV"]),
    ("mp4Settings", &["MP4"]),
    ("mpdSettings", &["MPD"]),
    ("mxfSettings", &["MXF"]),
];

const CAPTION_SOURCES: &[(&str, &[&str])] = &[
    ("ancillarySourceSettings", &["ANCILLARY"]),
    ("dvbSubSourceSettings", &["DVB_SUB"]),
    ("embeddedSourceSettings", &["EMBEDDED", "SCTE20"]),
    ("fileSourceSettings", &["SCC", "TTML", "STL", "SRT", "SMI", "SMPTE_TT", "WEBVTT", "IMSC"]),
    ("teletextSourceSettings", &["TELETEXT"]),
];

const CAPTION_DESTINATIONS: &[(&str, &[&str])] = &[
    ("burninDestinationSettings", &["BURN_IN"]),
    ("dvbSubDestinationSettings", &["DVB_SUB"]),
    ("embeddedDestinationSettings", &["EMBEDDED", "EMBEDDED_PLUS_SCTE20", "SCTE20_PLUS_EMBEDDED"]),
    ("imscDestinationSettings", &["IMSC"]),
    ("sccDestinationSettings", &["SCC"]),
    ("srtDestinationSettings", &["SRT"]),
    ("teletextDestinationSettings", &["TELETEXT"]),
    ("ttmlDestinationSettings", &["TTML"]),
    ("webvttDestinationSettings", &["WEBVTT"]),
];

const NOISE_FILTERS: &[(&str, &[&str])] = &[
    ("filterSettings", &["BILATERAL", "MEAN", "GAUSSIAN", "LANCZOS", "SHARPEN", "CONSERVE"]),
    ("spatialFilterSettings", &["SPATIAL"]),
    ("temporalFilterSettings", &["TEMPORAL"]),
];
