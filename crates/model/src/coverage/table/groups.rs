//! The table's rows for segmented output groups: members of the settings of HLS, CMAF and DASH groups.

use super::super::State::{self, Advised, Harmless, Honoured, Only};
use super::{ACL_IS_KEPT, NO_ENCRYPTION, ONE_CLASS};

/// Members of `HlsGroupSettings`.
pub(super) const HLS_MEMBERS: &[(&str, State)] = &[
    ("destination", Honoured),
    ("destinationSettings/s3Settings/accessControl/cannedAcl", Harmless(ACL_IS_KEPT)),
    ("destinationSettings/s3Settings/storageClass", Harmless(ONE_CLASS)),
    ("destinationSettings/s3Settings/encryption", Advised(NO_ENCRYPTION)),
    ("segmentLength", Honoured),
    ("minSegmentLength", Harmless("only the last segment can be shorter than the others")),
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
    ("codecSpecification", Harmless("the attribute always follows RFC 6381")),
    ("manifestCompression", Honoured),
    ("captionSegmentLengthControl", Honoured),
    ("captionLanguageSetting", Only(&["NONE", "OMIT"])),
    ("audioOnlyHeader", Harmless("applies only to audio-only variants")),
    ("imageBasedTrickPlay", Only(&["NONE"])),
    ("timedMetadataId3Frame", Harmless("there is no timed metadata")),
    ("timedMetadataId3Period", Harmless("there is no timed metadata")),
    ("progressiveWriteHlsManifest", Only(&["DISABLED"])),
];

/// Members of `HlsSettings`, the HLS settings of a single output.
pub(super) const HLS_OUTPUT_MEMBERS: &[(&str, State)] = &[
    ("segmentModifier", Honoured),
    ("iFrameOnlyManifest", Only(&["INCLUDE", "EXCLUDE"])),
    (
        "audioOnlyContainer",
        Harmless("audio-only outputs are transport streams too, which players accept just as well"),
    ),
    ("audioGroupId", Honoured),
    ("audioRenditionSets", Honoured),
    ("audioTrackType", Honoured),
    ("descriptiveVideoServiceFlag", Honoured),
];

/// Supported values of `ptsOffsetHandlingForBFrames`.
const FROM_ZERO: &[&str] = &["ZERO_BASED"];

/// Members of `CmafGroupSettings`.
pub(super) const CMAF_MEMBERS: &[(&str, State)] = &[
    ("destination", Honoured),
    ("destinationSettings/s3Settings/accessControl/cannedAcl", Harmless(ACL_IS_KEPT)),
    ("destinationSettings/s3Settings/storageClass", Harmless(ONE_CLASS)),
    ("destinationSettings/s3Settings/encryption", Advised(NO_ENCRYPTION)),
    ("baseUrl", Honoured),
    ("clientCache", Honoured),
    ("codecSpecification", Harmless("the attribute always follows RFC 6381")),
    ("dashManifestStyle", Only(&["BASIC"])),
    ("fragmentLength", Honoured),
    ("imageBasedTrickPlay", Only(&["NONE"])),
    ("manifestCompression", Honoured),
    ("manifestDurationFormat", Honoured),
    ("minBufferTime", Honoured),
    ("minFinalSegmentLength", Honoured),
    ("mpdManifestBandwidthType", Honoured),
    ("mpdProfile", Honoured),
    ("ptsOffsetHandlingForBFrames", Only(FROM_ZERO)),
    ("segmentControl", Honoured),
    ("segmentLength", Honoured),
    ("segmentLengthControl", Only(&["EXACT", "GOP_MULTIPLE"])),
    ("streamInfResolution", Honoured),
    ("targetDurationCompatibilityMode", Honoured),
    ("videoCompositionOffsets", Honoured),
    ("writeDashManifest", Honoured),
    ("writeHlsManifest", Honoured),
    ("writeSegmentTimelineInRepresentation", Honoured),
];

/// Members of `DashIsoGroupSettings`.
pub(super) const DASH_MEMBERS: &[(&str, State)] = &[
    ("destination", Honoured),
    ("destinationSettings/s3Settings/accessControl/cannedAcl", Harmless(ACL_IS_KEPT)),
    ("destinationSettings/s3Settings/storageClass", Harmless(ONE_CLASS)),
    ("destinationSettings/s3Settings/encryption", Advised(NO_ENCRYPTION)),
    ("audioChannelConfigSchemeIdUri", Only(&["MPEG_CHANNEL_CONFIGURATION"])),
    ("baseUrl", Honoured),
    ("dashManifestStyle", Only(&["BASIC"])),
    ("fragmentLength", Honoured),
    ("hbbtvCompliance", Only(&["NONE"])),
    ("imageBasedTrickPlay", Only(&["NONE"])),
    ("minBufferTime", Honoured),
    ("minFinalSegmentLength", Honoured),
    ("mpdManifestBandwidthType", Honoured),
    ("mpdProfile", Honoured),
    ("ptsOffsetHandlingForBFrames", Only(FROM_ZERO)),
    ("segmentControl", Honoured),
    ("segmentLength", Honoured),
    ("segmentLengthControl", Only(&["EXACT", "GOP_MULTIPLE"])),
    ("videoCompositionOffsets", Honoured),
    ("writeSegmentTimelineInRepresentation", Honoured),
];
