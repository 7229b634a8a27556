//! How the streams of outputs become files: containers, segments and their manifests, and the names of files.

pub(crate) mod container;
pub(crate) mod format_identifiers;
pub(crate) mod fragmented;
pub(crate) mod hls;
pub(crate) mod output_names;
pub(crate) mod segmentation;
pub(crate) mod segmented;
pub(crate) mod transport_stream;
