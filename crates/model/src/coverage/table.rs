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
            ("outputGroupSettings/type", Only(&["FILE_GROUP_SETTINGS"])),
            ("outputGroupSettings/fileGroupSettings/destination", Honoured),
        ],
    ),
    (
        "outputGroups/outputs",
        &[
            ("preset", Honoured),
            ("nameModifier", Honoured),
            ("extension", Honoured),
            ("containerSettings/container", Only(&["MP4"])),
            ("containerSettings/mp4Settings/moovPlacement", Honoured),
            ("containerSettings/mp4Settings/cslgAtom", Harmless),
            ("containerSettings/mp4Settings/freeSpaceBox", Harmless),
        ],
    ),
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
