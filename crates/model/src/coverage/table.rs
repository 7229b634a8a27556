//! The table behind `coverage`: paths of `JobSettings` and their states. A path that is not in the table is refused
//! without a remark. Paths have no list indices, and `*` for map keys.

use crate::output_groups;

use super::State::{self, Advised, Harmless, Honoured, Only, OnlyBecause, OnlyNumber};

mod audio;
mod captions;
mod containers;
mod groups;
mod video;

use self::audio::{AUDIO_MEMBERS, SELECTOR_MEMBERS};
use self::captions::{CAPTION_MEMBERS, CAPTION_SELECTOR_MEMBERS};
use self::containers::CONTAINER_MEMBERS;
use self::groups::{CMAF_MEMBERS, DASH_MEMBERS, HLS_MEMBERS, HLS_OUTPUT_MEMBERS};
use self::video::{AV1_MEMBERS, H264_MEMBERS, H265_MEMBERS, VIDEO_MEMBERS, VP9_MEMBERS};

const VIDEO: &str = "outputGroups/outputs/videoDescription";
const AUDIO: &str = "outputGroups/outputs/audioDescriptions";

/// The start of a path and the members below it.
pub(super) type Section = (&'static str, &'static [(&'static str, State)]);

/// All members that are accepted, or refused with a remark.
pub(super) const SECTIONS: &[Section] = &[
    (
        "",
        &[
            ("adAvailOffset", Harmless("there are no ad markers to shift")),
            ("followSource", OnlyNumber(1, "outputs follow the first input")),
            ("timecodeConfig/source", Honoured),
            ("timecodeConfig/start", Honoured),
        ],
    ),
    ("inputs", INPUT),
    (
        "outputGroups",
        &[
            ("name", Harmless("a label that is stored and returned with the job")),
            ("customName", Harmless("a label that is stored and returned with the job")),
            ("outputGroupSettings/type", OnlyBecause(&output_groups::MADE, output_groups::INSTEAD_OF_SMOOTH)),
            ("outputGroupSettings/fileGroupSettings/destination", Honoured),
            (
                "outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/accessControl/cannedAcl",
                Harmless(ACL_IS_KEPT),
            ),
            (
                "outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/storageClass",
                Harmless(ONE_CLASS),
            ),
            (
                "outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/encryption",
                Advised(NO_ENCRYPTION),
            ),
        ],
    ),
    ("outputGroups/outputs", &[("preset", Honoured), ("nameModifier", Honoured), ("extension", Honoured)]),
    ("outputGroups/outputGroupSettings/hlsGroupSettings", HLS_MEMBERS),
    ("outputGroups/outputGroupSettings/cmafGroupSettings", CMAF_MEMBERS),
    ("outputGroups/outputGroupSettings/dashIsoGroupSettings", DASH_MEMBERS),
    ("outputGroups/outputs/outputSettings/hlsSettings", HLS_OUTPUT_MEMBERS),
    ("outputGroups/outputs/containerSettings", CONTAINER_MEMBERS),
    ("inputs/audioSelectors/*", SELECTOR_MEMBERS),
    ("inputs/captionSelectors/*", CAPTION_SELECTOR_MEMBERS),
    ("outputGroups/outputs/captionDescriptions", CAPTION_MEMBERS),
    (VIDEO, VIDEO_MEMBERS),
    ("outputGroups/outputs/videoDescription/codecSettings/h264Settings", H264_MEMBERS),
    ("outputGroups/outputs/videoDescription/codecSettings/h265Settings", H265_MEMBERS),
    ("outputGroups/outputs/videoDescription/codecSettings/vp9Settings", VP9_MEMBERS),
    ("outputGroups/outputs/videoDescription/codecSettings/av1Settings", AV1_MEMBERS),
    (AUDIO, AUDIO_MEMBERS),
];

const INPUT: &[(&str, State)] = &[
    ("fileInput", Honoured),
    ("timecodeSource", Honoured),
    ("timecodeStart", Honoured),
    ("inputClippings/startTimecode", Honoured),
    ("inputClippings/endTimecode", Honoured),
    ("crop/x", Honoured),
    ("crop/y", Honoured),
    ("crop/width", Honoured),
    ("crop/height", Honoured),
    ("position/x", Honoured),
    ("position/y", Honoured),
    ("position/width", Honoured),
    ("position/height", Honoured),
    ("imageInserter/insertableImages/duration", Honoured),
    ("imageInserter/insertableImages/fadeIn", Honoured),
    ("imageInserter/insertableImages/fadeOut", Honoured),
    ("imageInserter/insertableImages/height", Honoured),
    ("imageInserter/insertableImages/imageInserterInput", Honoured),
    ("imageInserter/insertableImages/imageX", Honoured),
    ("imageInserter/insertableImages/imageY", Honoured),
    ("imageInserter/insertableImages/layer", Honoured),
    ("imageInserter/insertableImages/opacity", Honoured),
    ("imageInserter/insertableImages/startTime", Honoured),
    ("imageInserter/insertableImages/width", Honoured),
    ("audioSelectorGroups/*/audioSelectorNames", Honoured),
    ("inputScanType", Only(&["AUTO"])),
    ("advancedInputFilter", Only(&["DISABLED"])),
    ("filterEnable", Harmless("the filters that it controls are refused")),
    ("filterStrength", Harmless("the filters that it controls are refused")),
    ("deblockFilter", Only(&["DISABLED"])),
    ("denoiseFilter", Only(&["DISABLED"])),
    ("psiControl", Harmless("the tables of a transport stream are always read if present")),
    ("videoSelector/rotate", Honoured),
    ("videoSelector/colorSpace", Only(&["FOLLOW"])),
    ("videoSelector/colorSpaceUsage", Harmless("only the file's own colour metadata is used")),
    ("videoSelector/alphaBehavior", Only(&["DISCARD"])),
    ("videoSelector/sampleRange", Only(&["FOLLOW"])),
    ("videoSelector/padVideo", Only(&["DISABLED"])),
    ("videoSelector/embeddedTimecodeOverride", Only(&["NONE"])),
];

const ACL_IS_KEPT: &str =
    "kept and shown with the job; outputs get no ACL, so open them with a bucket policy";
const ONE_CLASS: &str = "objects are stored on one disk, or in the storage class of the destination bucket";
const NO_ENCRYPTION: &str =
    "objects are written unencrypted: encrypt the disk, or use the bucket's default encryption";
