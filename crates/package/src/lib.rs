//! Packages encoded streams: cuts them into segments and fragments, and writes the HLS and DASH manifests that
//! list them. Spawns no processes and touches no files.
//!
//! HLS terms are those of RFC 8216, with the names of its successor draft: a *multivariant playlist* lists
//! variants, and a *media playlist* lists the *media segments* of one. DASH terms are those of ISO/IEC 23009-1:
//! an *MPD* lists *adaptation sets* of *representations*. MP4 terms are those of ISO/IEC 14496-12: a *segment*
//! holds *fragments* that follow an *initialisation section*.

mod boxes;
mod byte_range;
mod codecs_attribute;
mod error;
mod fragments;
mod media_playlist;
mod media_presentation;
mod movie;
mod movie_index;
mod mp4_track;
mod multivariant_playlist;
mod program_date_time;
mod sample_entry;
mod stitching;
mod text;
mod transport_stream;

pub use byte_range::ByteRange;
pub use codecs_attribute::{aac_codec, av1_codec, avc_codec, hevc_codec, vp9_codec};
pub use error::Error;
pub use fragments::{CompositionOffsets, FragmentBrand, FragmentedTrack, IndexedSegment, segment_type};
pub use media_playlist::{DurationFormat, MediaPlaylist, MediaSegment, ProgramDateTime};
pub use media_presentation::{
    AdaptationSet, Addressing, MediaPresentation, MpdProfile, PresentedSound, Representation, SegmentTiming,
};
pub use movie_index::{BOX_HEADER_BYTES, MovieIndex, TimeRun, TopLevelBox, TopLevelUse, Tracks};
pub use mp4_track::{Mp4Track, Sample};
pub use multivariant_playlist::{
    IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo,
};
pub use sample_entry::{VideoSampleEntry, video_sample_entry};
pub use stitching::{StitchedTrack, stitch};
pub use transport_stream::key_frame_bytes;
