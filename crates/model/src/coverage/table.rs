//! The table behind `coverage`: paths of `JobSettings` and what becomes of them. Lists stand without their index, map
//! keys as `*`. Data only.

use super::State::{self, Harmless, Honoured, Only};

mod video;

use self::video::{H264_MEMBERS, VIDEO_MEMBERS};

const H264: &str = "outputGroups/outputs/videoDescription/codecSettings/h264Settings";
const VIDEO: &str = "outputGroups/outputs/videoDescription";
const AUDIO: &str = "outputGroups/outputs/audioDescriptions";

/// A path's start and the members below it.
pub(super) type Section = (&'static str, &'static [(&'static str, State)]);

/// All members that are not refused.
pub(super) const SECTIONS: &[Section] = &[
    (
        "",
        &[
            ("adAvailOffset", Harmless("there are no ad markers that it could move")),
            ("timecodeConfig/source", Harmless("no timecode is written or read")),
            ("timecodeConfig/start", Harmless("no timecode is written or read")),
        ],
    ),
    ("inputs", INPUT),
    (
        "outputGroups",
        &[
            ("name", Harmless("a label of the job, kept and given back")),
            ("customName", Harmless("a label of the job, kept and given back")),
            ("outputGroupSettings/type", Only(&["FILE_GROUP_SETTINGS", "HLS_GROUP_SETTINGS"])),
            ("outputGroupSettings/fileGroupSettings/destination", Honoured),
        ],
    ),
    (
        "outputGroups/outputs",
        &[
            ("preset", Honoured),
            ("nameModifier", Honoured),
            ("extension", Honoured),
            ("containerSettings/container", Only(&["MP4", "M3U8", "RAW"])),
            ("containerSettings/mp4Settings/moovPlacement", Honoured),
            (
                "containerSettings/mp4Settings/cslgAtom",
                Harmless("players do not need the box: times are right without it"),
            ),
            ("containerSettings/mp4Settings/freeSpaceBox", Harmless("empty space that no player reads")),
        ],
    ),
    ("outputGroups/outputGroupSettings/hlsGroupSettings", HLS_MEMBERS),
    ("outputGroups/outputs/outputSettings/hlsSettings", HLS_OUTPUT_MEMBERS),
    ("outputGroups/outputs/containerSettings/m3u8Settings", M3U8_MEMBERS),
    (VIDEO, VIDEO_MEMBERS),
    (H264, H264_MEMBERS),
    (AUDIO, AUDIO_MEMBERS),
];

const INPUT: &[(&str, State)] = &[
    ("fileInput", Honoured),
    ("timecodeSource", Harmless("no timecode is written or read")),
    ("filterEnable", Harmless("the filters that it governs are refused when a job sets them")),
    ("filterStrength", Harmless("the filters that it governs are refused when a job sets them")),
    ("deblockFilter", Only(&["DISABLED"])),
    ("denoiseFilter", Only(&["DISABLED"])),
    ("psiControl", Harmless("the tables of a transport stream are always read as far as they are there")),
    ("audioSelectors/*/defaultSelection", Honoured),
    ("audioSelectors/*/tracks", Honoured),
    ("audioSelectors/*/offset", Honoured),
    ("audioSelectors/*/selectorType", Only(&["TRACK"])),
    ("audioSelectors/*/programSelection", Harmless("the first program is taken")),
    ("videoSelector/rotate", Honoured),
    ("videoSelector/colorSpace", Only(&["FOLLOW"])),
];

const HLS_MEMBERS: &[(&str, State)] = &[
    ("destination", Honoured),
    ("segmentLength", Honoured),
    ("minSegmentLength", Harmless("no segment but the last is shorter than the others")),
    ("minFinalSegmentLength", Honoured),
    ("segmentLengthControl", Only(&["EXACT", "GOP_MULTIPLE"])),
    ("segmentControl", Honoured),
    ("directoryStructure", Honoured),
    ("segmentsPerSubdirectory", Honoured),
    ("manifestDurationFormat", Honoured),
    ("targetDurationCompatibilityMode", Honoured),
    ("outputSelection", Honoured),
    ("streamInfResolution", Honoured),
    ("clientCache", Honoured),
    ("baseUrl", Honoured),
    ("programDateTime", Honoured),
    ("programDateTimePeriod", Honoured),
    ("codecSpecification", Harmless("the attribute is written as RFC 6381 has it")),
    ("manifestCompression", Only(&["NONE"])),
    ("captionLanguageSetting", Only(&["NONE", "OMIT"])),
    ("audioOnlyHeader", Harmless("it tells of a variant with sound alone")),
    ("imageBasedTrickPlay", Only(&["NONE"])),
    ("timedMetadataId3Frame", Harmless("there is no timed metadata")),
    ("timedMetadataId3Period", Harmless("there is no timed metadata")),
    ("progressiveWriteHlsManifest", Only(&["DISABLED"])),
];

const HLS_OUTPUT_MEMBERS: &[(&str, State)] = &[
    ("segmentModifier", Honoured),
    ("iFrameOnlyManifest", Only(&["INCLUDE", "EXCLUDE"])),
    ("audioOnlyContainer", Harmless("it tells of a variant with sound alone")),
];

const M3U8_MEMBERS: &[(&str, State)] = &[
    ("transportStreamId", Honoured),
    ("programNumber", Honoured),
    ("pmtPid", Honoured),
    ("videoPid", Honoured),
    ("audioPids", Honoured),
    ("ptsOffset", Honoured),
    ("ptsOffsetMode", Honoured),
    ("audioFramesPerPes", Harmless("how frames are packed in packets is not heard")),
    ("pcrControl", Harmless("the clock is written often enough for every decoder")),
    ("maxPcrInterval", Harmless("the clock is written often enough for every decoder")),
    ("patInterval", Harmless("the tables stand at the start of each segment")),
    ("pmtInterval", Harmless("the tables stand at the start of each segment")),
    ("nielsenId3", Only(&["NONE"])),
    ("scte35Source", Only(&["NONE"])),
    ("timedMetadata", Only(&["NONE"])),
    ("scte35Pid", Harmless("there are no ad markers")),
    ("privateMetadataPid", Harmless("there is no private metadata")),
    ("timedMetadataPid", Harmless("there is no timed metadata")),
];

const AUDIO_MEMBERS: &[(&str, State)] = &[
    ("audioSourceName", Honoured),
    ("languageCode", Honoured),
    ("languageCodeControl", Harmless("the language of the job is written, the source's where it names none")),
    ("audioTypeControl", Harmless("no audio type is written")),
    ("codecSettings/codec", Only(&["AAC"])),
    ("codecSettings/aacSettings/bitrate", Honoured),
    ("codecSettings/aacSettings/sampleRate", Honoured),
    (
        "codecSettings/aacSettings/codingMode",
        Only(&["CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_5_1"]),
    ),
    ("codecSettings/aacSettings/rateControlMode", Harmless("the bit rate of the job holds in both modes")),
    ("codecSettings/aacSettings/codecProfile", Only(&["LC"])),
    ("codecSettings/aacSettings/rawFormat", Harmless("it tells of a container that is refused")),
    ("codecSettings/aacSettings/specification", Harmless("both specifications give the same sound")),
    (
        "codecSettings/aacSettings/audioDescriptionBroadcasterMix",
        Harmless("a mark for receivers that mix, which files here do not carry"),
    ),
];
