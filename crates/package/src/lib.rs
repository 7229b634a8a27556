//! Streams as segments and manifests: in names, durations, samples and measured sizes, out the text of HLS and DASH
//! manifests and the boxes of fragments. Never spawns a process, never touches a file.
//!
//! Words are RFC 8216's (HLS, with the names of its successor draft): a *multivariant playlist* lists variants, a
//! *media playlist* lists the *media segments* of one. For DASH they are ISO/IEC 23009-1's: an *MPD* lists *adaptation
//! sets* of *representations*; for its files ISO/IEC 14496-12's: a *segment* holds *fragments* behind an *initialisation
//! section*.

mod boxes;
mod byte_range;
mod codecs_attribute;
mod error;
mod fragments;
mod media_playlist;
mod media_presentation;
mod movie;
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
pub use mp4_track::{Mp4Track, Sample};
pub use multivariant_playlist::{
    IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo,
};
pub use sample_entry::{VideoSampleEntry, video_sample_entry};
pub use stitching::{StitchedTrack, stitch};
pub use transport_stream::key_frame_bytes;
