//! Streams as segments and manifests: in frame counts, rates and measured sizes, out boundaries and the text of HLS
//! playlists. Never spawns a process, never touches a file.
//!
//! Words are RFC 8216's (HLS, with the names of its successor draft): a *multivariant playlist* lists variants, a
//! *media playlist* lists the *media segments* of one.

mod byte_range;
mod codecs_attribute;
mod error;
mod media_playlist;
mod multivariant_playlist;
mod program_date_time;
mod segmentation;
mod text;

pub use byte_range::ByteRange;
pub use codecs_attribute::{aac_codec, avc_codec, hevc_codec};
pub use error::Error;
pub use media_playlist::{DurationFormat, MediaPlaylist, MediaSegment, ProgramDateTime};
pub use multivariant_playlist::{
    IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo,
};
pub use segmentation::{SegmentRule, Segmentation};
