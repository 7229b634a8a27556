//! The table behind `coverage`: paths of `JobSettings` and what becomes of them. Lists stand without their index, map
//! keys as `*`. Data only.

use super::State::{self, Harmless, Honoured, Only};

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
            ("adAvailOffset", Harmless),
            ("timecodeConfig/source", Harmless),
            ("timecodeConfig/start", Harmless),
        ],
    ),
    ("inputs", INPUT),
    (
        "outputGroups",
        &[
            ("name", Harmless),
            ("customName", Harmless),
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
            ("containerSettings/container", Only(&["MP4", "M3U8"])),
            ("containerSettings/mp4Settings/moovPlacement", Honoured),
            ("containerSettings/mp4Settings/cslgAtom", Harmless),
            ("containerSettings/mp4Settings/freeSpaceBox", Harmless),
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
    ("timecodeSource", Harmless),
    ("filterEnable", Harmless),
    ("filterStrength", Harmless),
    ("deblockFilter", Only(&["DISABLED"])),
    ("denoiseFilter", Only(&["DISABLED"])),
    ("psiControl", Harmless),
    ("audioSelectors/*/defaultSelection", Honoured),
    ("audioSelectors/*/tracks", Honoured),
    ("audioSelectors/*/offset", Honoured),
    ("audioSelectors/*/selectorType", Only(&["TRACK"])),
    ("audioSelectors/*/programSelection", Harmless),
    ("videoSelector/rotate", Honoured),
    ("videoSelector/colorSpace", Only(&["FOLLOW"])),
];

const HLS_MEMBERS: &[(&str, State)] = &[
    ("destination", Honoured),
    ("segmentLength", Honoured),
    ("minSegmentLength", Harmless),
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
    ("codecSpecification", Harmless),
    ("manifestCompression", Only(&["NONE"])),
    ("captionLanguageSetting", Only(&["NONE", "OMIT"])),
    ("audioOnlyHeader", Harmless),
    ("imageBasedTrickPlay", Only(&["NONE"])),
    ("timedMetadataId3Frame", Harmless),
    ("timedMetadataId3Period", Harmless),
    ("progressiveWriteHlsManifest", Only(&["DISABLED"])),
];

const HLS_OUTPUT_MEMBERS: &[(&str, State)] = &[
    ("segmentModifier", Honoured),
    ("iFrameOnlyManifest", Only(&["INCLUDE", "EXCLUDE"])),
    ("audioOnlyContainer", Harmless),
];

const M3U8_MEMBERS: &[(&str, State)] = &[
    ("transportStreamId", Honoured),
    ("programNumber", Honoured),
    ("pmtPid", Honoured),
    ("videoPid", Honoured),
    ("audioPids", Honoured),
    ("ptsOffset", Honoured),
    ("ptsOffsetMode", Honoured),
    ("audioFramesPerPes", Harmless),
    ("pcrControl", Harmless),
    ("maxPcrInterval", Harmless),
    ("patInterval", Harmless),
    ("pmtInterval", Harmless),
    ("nielsenId3", Only(&["NONE"])),
    ("scte35Source", Only(&["NONE"])),
    ("timedMetadata", Only(&["NONE"])),
    ("scte35Pid", Harmless),
    ("privateMetadataPid", Harmless),
    ("timedMetadataPid", Harmless),
];

const VIDEO_MEMBERS: &[(&str, State)] = &[
    ("width", Honoured),
    ("height", Honoured),
    ("scalingBehavior", Only(&["DEFAULT", "FIT", "FIT_NO_UPSCALE", "FILL", "STRETCH_TO_OUTPUT"])),
    ("sharpness", Harmless),
    ("videoPreprocessors/deinterlacer/mode", Harmless),
    ("videoPreprocessors/deinterlacer/algorithm", Harmless),
    ("videoPreprocessors/deinterlacer/control", Harmless),
    ("codecSettings/codec", Only(&["H_264"])),
    ("antiAlias", Harmless),
    ("afdSignaling", Harmless),
    ("respondToAfd", Harmless),
    ("timecodeInsertion", Harmless),
    ("dropFrameTimecode", Harmless),
    ("colorMetadata", Harmless),
];

const H264_MEMBERS: &[(&str, State)] = &[
    ("rateControlMode", Honoured),
    ("bitrate", Honoured),
    ("maxBitrate", Honoured),
    ("qvbrSettings/qvbrQualityLevel", Honoured),
    ("qvbrSettings/qvbrQualityLevelFineTune", Honoured),
    ("qualityTuningLevel", Honoured),
    ("gopSize", Honoured),
    ("gopSizeUnits", Honoured),
    ("gopClosedCadence", Harmless),
    ("numberBFramesBetweenReferenceFrames", Honoured),
    ("numberReferenceFrames", Honoured),
    ("framerateControl", Honoured),
    ("framerateNumerator", Honoured),
    ("framerateDenominator", Honoured),
    ("framerateConversionAlgorithm", Only(&["DUPLICATE_DROP"])),
    ("parControl", Honoured),
    ("parNumerator", Honoured),
    ("parDenominator", Honoured),
    ("codecProfile", Honoured),
    ("codecLevel", Honoured),
    ("entropyEncoding", Honoured),
    ("sceneChangeDetect", Honoured),
    ("hrdBufferSize", Honoured),
    ("interlaceMode", Only(&["PROGRESSIVE"])),
    ("minIInterval", Honoured),
    ("hrdBufferInitialFillPercentage", Harmless),
    ("gopBReference", Honoured),
    ("dynamicSubGop", Harmless),
    ("slowPal", Only(&["DISABLED"])),
    ("telecine", Only(&["NONE"])),
    ("syntax", Harmless),
    ("slices", Harmless),
    ("repeatPps", Harmless),
    ("unregisteredSeiTimecode", Harmless),
    ("adaptiveQuantization", Harmless),
    ("flickerAdaptiveQuantization", Harmless),
    ("spatialAdaptiveQuantization", Harmless),
    ("temporalAdaptiveQuantization", Harmless),
    ("fieldEncoding", Harmless),
    ("writeMp4PackagingType", Only(&["AVC1"])),
];

const AUDIO_MEMBERS: &[(&str, State)] = &[
    ("audioSourceName", Honoured),
    ("languageCode", Honoured),
    ("languageCodeControl", Harmless),
    ("audioTypeControl", Harmless),
    ("codecSettings/codec", Only(&["AAC"])),
    ("codecSettings/aacSettings/bitrate", Honoured),
    ("codecSettings/aacSettings/sampleRate", Honoured),
    (
        "codecSettings/aacSettings/codingMode",
        Only(&["CODING_MODE_1_0", "CODING_MODE_2_0", "CODING_MODE_5_1"]),
    ),
    ("codecSettings/aacSettings/rateControlMode", Harmless),
    ("codecSettings/aacSettings/codecProfile", Only(&["LC"])),
    ("codecSettings/aacSettings/rawFormat", Harmless),
    ("codecSettings/aacSettings/specification", Harmless),
    ("codecSettings/aacSettings/audioDescriptionBroadcasterMix", Harmless),
];
