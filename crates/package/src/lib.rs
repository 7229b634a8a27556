//! Streams as segments and manifests: in names, durations and measured sizes, out the text of HLS playlists. Never spawns a process, never touches a file.
//!
//! Words are RFC 8216's (HLS, with the names of its successor draft): a *multivariant playlist* lists variants, a
//! *media playlist* lists the *media segments* of one.

mod boxes;
mod byte_range;
mod codecs_attribute;
mod error;
mod fragments;
mod media_playlist;
mod mp4_track;
mod multivariant_playlist;
mod program_date_time;
mod sample_entry;
mod text;
mod transport_stream;

pub use byte_range::ByteRange;
pub use codecs_attribute::{aac_codec, av1_codec, avc_codec, hevc_codec, vp9_codec};
pub use error::Error;
pub use fragments::{CompositionOffsets, FragmentBrand, FragmentedTrack, IndexedSegment, segment_type};
pub use media_playlist::{DurationFormat, MediaPlaylist, MediaSegment, ProgramDateTime};
pub use mp4_track::{Mp4Track, Sample};
pub use multivariant_playlist::{
    IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo,
};
pub use sample_entry::{VideoSampleEntry, video_sample_entry};
pub use transport_stream::key_frame_bytes;
